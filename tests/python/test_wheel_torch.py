"""Streams for PyTorch: batches, ranks, workers, states. Needs torch, which is too large for every run: NODEDATA_TORCH_PYTHON names
an interpreter with it. Run by `cargo xtask test`."""
import importlib
import json
import os
import unittest
from unittest import mock

import numpy as np

import nodedata
from wheel_sets import Set, picture, published


def module(name):
    """A module, or None with why there is none."""
    try:
        return importlib.import_module(name), None
    except ImportError as err:
        return None, str(err)


torch, ABSENT = module("torch")
torchdata, NO_TORCHDATA = module("torchdata.stateful_dataloader") if torch else (None, ABSENT)

LENGTHS = [12, 1, 30, 7, 3, 25, 2, 19]
TOTAL = sum(LENGTHS)
SIZE = (24, 32)


@unittest.skipIf(torch is None, f"no torch, so nothing of its loaders is proved: {ABSENT}")
class Batches(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = Set(LENGTHS, SIZE)
        cls.node, cls.folder = published("small", cls.data)
        cls.dataset = cls.node.datasets.open("small")

    def stream(self, **options):
        options = {"unit": "step", "fields": ["state", "count"], "shuffle": True, "seed": 3} | options
        return self.node.datasets.stream(self.dataset, **options)

    def whole(self):
        return [float(it["state"][0]) for it in self.stream()]

    @staticmethod
    def told(batches):
        return [[float(it) for it in batch["state"][:, 0]] for batch in batches]

    def test_batches_are_tensors_in_the_order_of_the_stream(self):
        whole = self.whole()
        for size in (1, 7, 67):
            loader = self.stream().torch(batch_size=size)
            self.assertEqual(len(loader), TOTAL // size)
            found = self.told(loader)
            self.assertEqual(found, [whole[at : at + size] for at in range(0, TOTAL // size * size, size)])
        batch = next(iter(self.stream(fields=None, window={"action": range(4)}).torch(5)))
        self.assertEqual((tuple(batch["rgb"].shape), batch["rgb"].dtype), ((5, *SIZE, 3), torch.uint8))
        self.assertEqual((tuple(batch["action"].shape), tuple(batch["action_is_pad"].shape)), ((5, 4, 7), (5, 4)))
        self.assertEqual((batch["action_is_pad"].dtype, batch["count"].dtype, batch["depth"].dtype), (torch.bool, torch.int16, torch.uint16))
        self.assertEqual((len(batch["note"]), len(batch["points"])), (5, 5))
        state = float(batch["state"][0, 0])
        np.testing.assert_array_equal(batch["rgb"][0].numpy(), picture(int(state) // 1000, int(state) % 1000, SIZE))

    def test_a_loader_that_ended_begins_again_only_when_it_is_asked_to(self):
        loader = self.stream().torch(5)
        first = self.told(loader)
        with self.assertRaises(StopIteration):
            next(loader)
        second = self.told(loader)
        self.assertEqual((len(second), len(first)), (TOTAL // 5, TOTAL // 5))
        self.assertNotEqual(first, second)

    def test_all_ranks_have_equally_many_batches(self):
        whole = self.whole()
        for world in (1, 2, 3, 8):
            for drop_last in (True, False):
                loaders = [self.stream(rank=it, world=world).torch(5, drop_last=drop_last) for it in range(world)]
                batches = [list(it) for it in loaders]
                stride = 5 * world
                count = TOTAL // stride if drop_last else -(-TOTAL // stride)
                self.assertEqual([len(it) for it in batches], [count] * world)
                merged = []
                for nth in range(count):
                    for place in range(stride):
                        merged.append(float(batches[place % world][nth]["state"][place // world, 0]))
                self.assertEqual(merged, (whole * 3)[: count * stride])
                if not drop_last:
                    repeats = sum(int(it["is_repeat"].sum()) for of_rank in batches for it in of_rank)
                    self.assertEqual(repeats, count * stride - TOTAL)

    def test_ranks_come_from_the_environment_unless_told(self):
        whole = self.whole()
        with mock.patch.dict(os.environ, {"RANK": "1", "WORLD_SIZE": "2"}):
            self.assertEqual(self.told(self.stream().torch(2))[0], [whole[1], whole[3]])
            self.assertEqual(self.told(self.stream(rank=0, world=1).torch(2))[0], whole[:2])
        with mock.patch.dict(os.environ, {"RANK": "one"}), self.assertRaises(nodedata.ConfigError):
            self.stream().torch(2)

    def test_a_state_goes_on_with_other_batches_and_ranks(self):
        whole = self.whole()
        loader = self.stream().torch(6)
        begun = [next(loader) for _ in range(4)]
        state = json.loads(json.dumps(loader.state_dict()))
        self.assertEqual((state["cursor"], self.told(begun)[3]), (24, whole[18:24]))
        other = self.stream(rank=1, world=3).torch(2)
        other.load_state_dict(state)
        self.assertEqual(self.told(other)[0], [whole[25], whole[28]])
        plain = self.stream()
        plain.load_state_dict(state)
        self.assertEqual(float(next(plain)["state"][0]), whole[24])

    def test_workers_make_the_same_batches(self):
        expected = self.told(self.stream().torch(5))
        for count in (0, 1, 2, 4):
            for method in ("fork", "spawn") if count == 2 else ("fork",):
                dataset = self.stream().torch_dataset(5)
                context = method if count else None
                loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=count, multiprocessing_context=context)
                self.assertEqual(self.told(loader), expected, (count, method))
                self.assertEqual(len(loader), len(expected))
        dataset.set_epoch(1)
        self.assertEqual(self.told(dataset), self.told(self.stream(epoch=1).torch(5)))

    def test_map_style_goes_through_torchs_own_loader(self):
        steps = self.dataset.steps("train", fields=["state"])
        loader = torch.utils.data.DataLoader(steps, batch_size=4, num_workers=2, collate_fn=lambda it: [float(x["state"][0]) for x in it])
        found = [it for batch in loader for it in batch]
        self.assertEqual(found, [float(it["state"][0]) for it in self.stream(shuffle=False)])

    def test_channels_first_is_the_same_pixels(self):
        options = {"fields": ["rgb", "depth"], "window": {"rgb": [-1, 0]}}
        batches = [list(self.stream(layout=it, **options).torch(5)) for it in ("hwc", "chw")]
        for last, first in zip(*batches, strict=True):
            self.assertEqual((tuple(first["rgb"].shape), tuple(first["depth"].shape)), ((5, 2, 3, *SIZE), (5, 1, *SIZE)))
            self.assertTrue(first["rgb"].is_contiguous())
            np.testing.assert_array_equal(first["rgb"].permute(0, 1, 3, 4, 2).numpy(), last["rgb"].numpy())
            np.testing.assert_array_equal(first["depth"][:, 0].numpy(), last["depth"].numpy())

    def test_tensors_have_the_memory_of_the_batch(self):
        loader = self.stream(fields=["rgb", "state"], window={"rgb": [-1, 0]}).torch(6)
        arrays = self.stream(fields=["rgb", "state"], window={"rgb": [-1, 0]}).batches(6)
        for batch, expected in zip(loader, arrays, strict=True):
            for name, tensor in batch.items():
                self.assertTrue(tensor.is_contiguous())
                np.testing.assert_array_equal(tensor.numpy(), expected[name])
        given, original = [], torch.from_numpy

        def noted(array):
            given.append(array.__array_interface__["data"][0])
            return original(array)

        with mock.patch.object(torch, "from_numpy", noted):
            batch = next(iter(loader))
        self.assertEqual(given, [it.data_ptr() for it in batch.values()])

    def test_episodes_of_different_lengths_are_lists(self):
        batch = next(iter(self.stream(unit="episode", shuffle=False, fields=["state"]).torch(3)))
        self.assertEqual([tuple(it.shape) for it in batch["state"]], [(it, 7) for it in LENGTHS[:3]])
        own = next(iter(self.stream(unit="episode", shuffle=False).torch(3, collate=lambda it: [x.key for x in it])))
        self.assertEqual(own, ["0", "1", "2"])

    def test_what_is_a_list_does_not_depend_on_the_values(self):
        """Rows that happen to be equally long, and batches of one."""
        lengths = set()
        for batch in self.stream(fields=["points"], shuffle=False).torch(1):
            self.assertIsInstance(batch["points"], list)
            lengths.add(len(batch["points"][0]))
        self.assertEqual(lengths, {0, 1, 2, 3})
        batch = next(iter(self.stream(unit="episode", shuffle=False, fields=["state"]).torch(1)))
        self.assertEqual([tuple(it.shape) for it in batch["state"]], [(LENGTHS[0], 7)])

    def test_an_interrupted_batch_is_made_later(self):
        whole, original = self.whole(), nodedata.Stream._next_batch
        rest = [whole[at : at + 6] for at in range(12, TOTAL // 6 * 6, 6)]
        for place in ("stream", "collate"):
            # While the third batch is waited for, and when it is made.
            interrupts = {"stream": iter([False, False, True]), "collate": iter([False, False, True])}

            def interrupted(at):
                if at == place and next(interrupts[at], False):
                    raise KeyboardInterrupt

            def step(stream):
                interrupted("stream")
                return original(stream)

            def collate(samples):
                interrupted("collate")
                return [float(it["state"][0]) for it in samples]

            loader = self.stream().torch(6, collate=collate)
            other = self.stream().torch(6, collate=lambda samples: [float(it["state"][0]) for it in samples])
            with mock.patch.object(nodedata.Stream, "_next_batch", step):
                self.assertEqual([next(loader), next(loader)], [whole[:6], whole[6:12]])
                with self.assertRaises(KeyboardInterrupt):
                    next(loader)
            self.assertEqual((loader.state_dict()["cursor"], len(loader)), (12, len(rest)))
            other.load_state_dict(loader.state_dict())
            self.assertEqual((list(other), list(loader)), (rest, rest))

    def test_ranks_that_leave_samples_out_are_warned(self):
        with self.assertWarnsRegex(UserWarning, "different numbers of batches"):
            self.stream(on_error="skip", rank=0, world=2).torch(2)

    def test_lerobot_items_are_tensors(self):
        batch = next(iter(self.stream(unit=None, style="lerobot", fields=["state", "rgb"]).torch(2)))
        self.assertEqual(tuple(batch["rgb"].shape), (2, 3, *SIZE))
        self.assertEqual((batch["episode_index"].dtype, batch["timestamp"].dtype), (torch.int64, torch.float32))

    @unittest.skipIf(torchdata is None, f"no torchdata: {NO_TORCHDATA}")
    def test_a_stateful_loader_goes_on(self):
        loader = torchdata.StatefulDataLoader(self.stream().torch_dataset(5), batch_size=None, num_workers=2)
        batches = iter(loader)
        begun = self.told([next(batches) for _ in range(3)])
        state = loader.state_dict()
        other = torchdata.StatefulDataLoader(self.stream().torch_dataset(5), batch_size=None, num_workers=2)
        other.load_state_dict(state)
        self.assertEqual(begun + self.told(other), self.told(self.stream().torch(5)))


if __name__ == "__main__":
    unittest.main()
