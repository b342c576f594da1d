"""Batches as NumPy arrays: the samples of the stream in its order, each field one array that the caller owns. Run by `cargo xtask test`."""
import gc
import json
import os
import pathlib
import pickle
import random
import re
import unittest
from unittest import mock

import numpy as np

import nodedata
from wheel_sets import LONG, Set, depth, picture, published

FIXTURES = pathlib.Path(os.environ.get("NODEDATA_FIXTURES", pathlib.Path(__file__).parent / "../../fixtures"))
LENGTHS = [12, 1, 30, 7, 3, 25, 2, 19]
TOTAL = sum(LENGTHS)
SIZE = (24, 32)
# What comes as one array: the rest has no one shape.
ARRAYS = {"timestamp_ns", "state", "action", "count", "reward", "rgb", "depth"}


def threads():
    """Threads of streams of this process."""
    names = [(it / "comm").read_text() for it in pathlib.Path("/proc/self/task").iterdir()]
    return sum(it.startswith("nd-") for it in names)


class Case(unittest.TestCase):
    """One small published set with pictures."""

    @classmethod
    def setUpClass(cls):
        cls.data = Set(LENGTHS, SIZE)
        cls.node, cls.folder = published("pictures", cls.data)
        cls.dataset = cls.node.datasets.open("pictures")

    def stream(self, **options):
        return self.node.datasets.stream(self.dataset, **({"unit": "step", "shuffle": True, "seed": 3} | options))

    def check(self, batch, samples):
        """Holds a batch against what its samples hold."""
        self.assertEqual(list(batch), list(samples[0]) + (["is_repeat"] if "is_repeat" in batch else []))
        for name, value in batch.items():
            if name == "is_repeat":
                self.assertEqual((value.dtype, value.tolist()), (np.dtype(bool), [it.is_repeat for it in samples]))
                continue
            expected = [it[name] for it in samples]
            if isinstance(value, np.ndarray):
                self.assertTrue(value.flags.writeable and value.flags.c_contiguous and value.flags.aligned, name)
                self.assertEqual((value.dtype, value.shape), (expected[0].dtype, (len(samples), *expected[0].shape)), name)
                np.testing.assert_array_equal(value, np.stack(expected), name)
                continue
            self.assertEqual(len(value), len(samples), name)
            for one, other in zip(value, expected, strict=True):
                if isinstance(one, nodedata.Ragged):
                    np.testing.assert_array_equal(one.values, other.values)
                    np.testing.assert_array_equal(one.offsets, other.offsets)
                elif isinstance(one, np.ndarray):
                    np.testing.assert_array_equal(one, other)
                else:
                    self.assertEqual(one, other)


class Batches(Case):
    def test_batches_are_the_samples_of_the_stream(self):
        rng = random.Random(7)
        for nth in range(200 if LONG else 30):
            size, threads = rng.choice([1, 2, 5, 16, 33, 67]), rng.randint(1, 8)
            options = {"threads": threads, "seed": rng.randrange(100)}
            names = sorted(rng.sample(sorted(ARRAYS | {"points", "note"}), rng.randint(1, 9)))
            options["fields"] = names
            pictures = [it for it in names if it in ("rgb", "depth")]
            windows = [[0], [-1, 0], [-3, -1, 0, 2], [0, 0, -2], list(range(-4, 5)), [40]]
            options["window"] = {it: rng.choice(windows) for it in names if rng.random() < 0.5} or None
            if options["window"] is not None:
                options["pad"] = rng.choice(["edge", "zero"])
            options["resize"] = {it: (11, 13) for it in pictures if rng.random() < 0.5} or None
            options["layout"] = rng.choice(["hwc", "chw"])
            options["ready_bytes"] = rng.choice([0, 20_000, "128MiB"])
            drop_last = rng.random() < 0.5
            share = {"batch": size, "tail": "drop_last" if drop_last else "pad"}
            samples = list(self.stream(**options)._with(**share))
            batches = self.stream(**options).batches(size, drop_last=drop_last)
            count = len(samples) // size
            with self.subTest(nth=nth, size=size, drop_last=drop_last, **options):
                self.assertEqual(len(batches), count)
                for at, batch in enumerate(batches):
                    self.check(batch, samples[at * size : (at + 1) * size])
                    self.assertEqual(len(batches), count - at - 1)
                self.assertEqual((len(batches), batches.stats()["n_samples"]), (0, len(samples)))

    def test_values_are_those_of_the_set(self):
        for batch in self.stream(window={"rgb": [-1, 0]}).batches(9):
            for nth, state in enumerate(batch["state"][:, 0]):
                episode, step = divmod(int(state), 1000)
                self.assertEqual(batch["note"][nth], self.data.note(episode, step))
                np.testing.assert_array_equal(batch["rgb"][nth, 0], picture(episode, max(step - 1, 0), SIZE))
                np.testing.assert_array_equal(batch["rgb"][nth, 1], picture(episode, step, SIZE))
                np.testing.assert_array_equal(batch["depth"][nth], depth(episode, step, SIZE))
                self.assertEqual(batch["rgb_is_pad"][nth].tolist(), [step == 0, False])

    def test_arrays_are_the_callers_own(self):
        batches = self.stream(fields=["rgb", "state"]).batches(8)
        first, second = next(batches), next(batches)
        kept = second["rgb"].copy()
        first["rgb"][:] = 7
        np.testing.assert_array_equal(second["rgb"], kept)
        self.assertFalse(np.shares_memory(first["rgb"], second["rgb"]))
        # One memory for each field: nothing else is kept by it.
        owner = first["rgb"]
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        self.assertEqual(owner.nbytes, 8 * SIZE[0] * SIZE[1] * 3)
        batches.close()
        del batches, second
        gc.collect()
        self.assertTrue((first["rgb"] == 7).all())

    def test_batches_of_normalised_and_of_lerobots_items(self):
        self.assertEqual(next(self.stream(style="lerobot", unit=None, fields=["state", "rgb"]).batches(2))["rgb"].shape, (2, 3, *SIZE))
        nodedata.convert(FIXTURES / "lerobot" / "v30_image", self.folder / "converted")
        converted = nodedata.open_folder(self.folder / "converted")
        options = {"unit": "step", "window": {"action": [0, 1]}}
        stream = lambda: self.node.datasets.stream(converted, **options).normalize("action", "min_max")
        samples = list(stream())
        for at, batch in enumerate(stream().batches(10)):
            self.check(batch, samples[at * 10 : at * 10 + 10])
            self.assertEqual(batch["action"].dtype, np.float32)

    def test_episodes_are_lists(self):
        batch = next(self.stream(unit="episode", shuffle=False, fields=["rgb"]).batches(3))
        self.assertEqual([it.shape for it in batch["rgb"]], [(it, *SIZE, 3) for it in LENGTHS[:3]])

    def test_a_mixture(self):
        options = {"fields": ["rgb", "state"], "window": {"rgb": [0, 3]}}
        mixed = lambda: nodedata.mix([(self.stream(**options), 0.7), (self.stream(seed=8, **options), 0.3)], stop=300)
        samples = list(mixed())
        found = list(mixed().batches(32))
        self.assertEqual(len(found), 300 // 32)
        for at, batch in enumerate(found):
            self.check(batch, samples[at * 32 : at * 32 + 32])

    def test_pictures_of_several_sizes_are_told(self):
        node, _ = published("other", Set([9], (20, 20)), self.folder)
        mixed = nodedata.mix([(self.stream(fields=["rgb"]), 0.5), (node.datasets.stream("other", unit="step", fields=["rgb"]), 0.5)])
        with self.assertRaisesRegex(nodedata.ConfigError, "values of `rgb` have the shapes") as caught:
            list(mixed.batches(16))
        self.assertIn("resize", caught.exception.hint)

    def test_mistakes(self):
        with self.assertRaisesRegex(nodedata.ConfigError, "batch_size"):
            self.stream().batches(0)
        with self.assertRaisesRegex(nodedata.ConfigError, "drop_lst") as caught:
            self.stream().batches(2, drop_lst=True)
        self.assertIn("drop_last", caught.exception.hint)


class States(Case):
    def whole(self):
        return [float(it["state"][0]) for it in self.stream(fields=["state"])]

    @staticmethod
    def told(batches):
        return [[float(it) for it in batch["state"][:, 0]] for batch in batches]

    def batches(self, size):
        return self.stream(fields=["state", "rgb"]).batches(size)

    def test_a_state_counts_batches_that_were_handed_out(self):
        whole, batches = self.whole(), self.batches(6)
        begun = self.told([next(batches) for _ in range(4)])
        state = json.loads(json.dumps(batches.state_dict()))
        self.assertEqual((state["cursor"], begun[3]), (24, whole[18:24]))
        for size in (1, 5, 6):
            other = self.batches(size)
            other.load_state_dict(state)
            rest = self.told(other)
            self.assertEqual(rest[0], whole[24 : 24 + size])
            self.assertEqual(len(rest), (TOTAL - 24) // size)
        copy = pickle.loads(pickle.dumps(batches))
        self.assertEqual(self.told(copy), self.told(batches))

    def test_it_begins_again_only_when_it_is_asked_to(self):
        batches = self.batches(5)
        first = self.told(batches)
        with self.assertRaises(StopIteration):
            next(batches)
        second = self.told(batches)
        self.assertEqual((len(first), len(second)), (TOTAL // 5, TOTAL // 5))
        self.assertNotEqual(first, second)

    def test_ranks(self):
        whole = self.whole()
        for world in (2, 3):
            parts = [self.told(self.stream(fields=["state"], rank=rank, world=world).batches(4)) for rank in range(world)]
            merged = [parts[at % world][at // world // 4][at // world % 4] for at in range(TOTAL // (4 * world) * 4 * world)]
            self.assertEqual(merged, whole[: len(merged)])

    def test_what_is_interrupted_comes_later(self):
        whole = self.whole()
        rest = [whole[at : at + 6] for at in range(12, TOTAL // 6 * 6, 6)]
        batches, others = self.batches(6), self.batches(6)
        next(batches), next(batches)
        with mock.patch.object(nodedata.Stream, "_finished", side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
            next(batches)
        self.assertEqual((batches.state_dict()["cursor"], len(batches)), (12, len(rest)))
        others.load_state_dict(batches.state_dict())
        self.assertEqual((self.told(others), self.told(batches)), (rest, rest))

    def test_a_child_that_is_forked_goes_on(self):
        whole, batches = self.whole(), self.batches(6)
        next(batches)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, json.dumps(self.told([next(batches)])).encode())
            os._exit(0)
        os.waitpid(child, 0)
        self.assertEqual(json.loads(os.read(read, 1 << 16)), [whole[6:12]])
        self.assertEqual(self.told([next(batches)]), [whole[6:12]])

    def test_closed_in_mid_batch_it_keeps_nothing_and_goes_on(self):
        gc.collect()
        whole, before = self.whole(), threads()
        batches = self.batches(6)
        next(batches)
        batches.close()
        stats = batches.stats()
        self.assertEqual((stats["n_threads"], stats["ready_bytes"], stats["prefetched_bytes"]), (0, 0, 0))
        self.assertEqual(self.told([next(batches)]), [whole[6:12]])
        self.assertGreater(threads(), 0)
        batches.close()
        self.assertEqual(threads(), before)


class Damage(unittest.TestCase):
    """A folder with pictures of which some are damaged."""

    @classmethod
    def setUpClass(cls):
        cls.node, folder = published("broken", Set([20, 20], SIZE), compression="NONE", use_dictionary=False, write_statistics=False)
        cls.node.datasets.pull("broken", folder / "pulled")
        shard = next(it for it in (folder / "pulled").rglob("*.parquet") if it.parent.name != "index")
        damaged = bytearray(shard.read_bytes())
        # The pixels of each picture, of the colours first.
        starts = [it.start() for it in re.finditer(b"IDAT", damaged)]
        if len(starts) != 80:
            raise AssertionError(f"{len(starts)} pictures")
        for row in (0, 7, 8, 25):
            damaged[starts[row] + 8] ^= 0x55
        shard.chmod(0o644)
        shard.write_bytes(damaged)
        cls.dataset = nodedata.open_folder(folder / "pulled")

    def stream(self, **options):
        return self.node.datasets.stream(self.dataset, unit="step", fields=["state", "rgb"], **options)

    def test_a_batch_keeps_its_size_where_samples_are_left_out(self):
        samples = list(self.stream(on_error="skip"))
        self.assertEqual(len(samples), 36)
        for size in (1, 5, 8):
            for drop_last in (True, False):
                batches = self.stream(on_error="skip").batches(size, drop_last=drop_last)
                found = list(batches)
                self.assertEqual({len(it["rgb"]) for it in found[:-1]} | {size}, {size})
                self.assertEqual(sum(len(it["rgb"]) for it in found), 36 // size * size if drop_last else len(samples))
                states = np.concatenate([it["state"] for it in found])
                pictures = np.concatenate([it["rgb"] for it in found])
                np.testing.assert_array_equal(states, np.stack([it["state"] for it in samples[: len(states)]]))
                np.testing.assert_array_equal(pictures, np.stack([it["rgb"] for it in samples[: len(states)]]))
                self.assertEqual(batches.stats()["n_skipped"], 4)

    def test_an_error_comes_at_once_and_the_others_later(self):
        batches = self.stream().batches(4)
        found, n_errors = [], 0
        while True:
            try:
                found.append([int(it) for it in next(batches)["state"][:, 0]])
            except nodedata.CorruptError as err:
                self.assertEqual(err.where["feature"], "rgb")
                n_errors += 1
            except StopIteration:
                break
        steps = [it for it in (*range(20), *range(1000, 1020)) if it not in (0, 7, 8, 1005)]
        self.assertEqual((n_errors, found), (4, [steps[at : at + 4] for at in range(0, 36, 4)]))


if __name__ == "__main__":
    unittest.main()
