"""Streams from Python: every sample once, whatever the ranks; windows; states that go on anywhere. Run by `cargo xtask test`."""
import json
import pickle
import random
import signal
import subprocess
import time
import unittest

import numpy as np

import nodedata
from wheel_sets import FPS, LONG, PYTHON, TOKEN, Set, environment, positions, published

LENGTHS = [12, 1, 30, 7, 3, 25, 2, 19]
TOTAL = sum(LENGTHS)


class Case(unittest.TestCase):
    """One small published set of numbers."""

    @classmethod
    def setUpClass(cls):
        cls.data = Set(LENGTHS)
        cls.node, cls.folder = published("small", cls.data)
        cls.dataset = cls.node.datasets.open("small")

    def stream(self, **options):
        options = {"unit": "step", "fields": ["state"], "shuffle": True, "seed": 3} | options
        return self.node.datasets.stream(self.dataset, **options)

    def ranks(self, world, state=None, **options):
        """The streams of all ranks."""
        streams = [self.stream(rank=rank, world=world, **options) for rank in range(world)]
        for stream in streams if state is not None else []:
            stream.load_state_dict(state)
        return streams


class Shares(Case):
    def test_ranks_together_read_the_order_of_one(self):
        whole = positions(self.stream())
        self.assertEqual(len(set(whole)), TOTAL)
        for world in range(1, 17):
            for threads in (1, 2, 8):
                parts = [positions(it) for it in self.ranks(world, threads=threads)]
                self.assertEqual({len(it) for it in parts}, {TOTAL // world})
                merged = [parts[place % world][place // world] for place in range(TOTAL // world * world)]
                self.assertEqual(merged, whole[: len(merged)], (world, threads))

    def test_workers_of_a_rank_make_its_batches_in_turn(self):
        """What `torch_dataset` does in each worker, without torch."""
        whole = positions(self.stream())
        for world, n_workers, batch in [(1, 1, 67), (1, 2, 5), (3, 4, 2), (2, 3, 7), (16, 2, 1)]:
            n_batches = TOTAL // (world * batch)
            merged = [None] * (n_batches * world * batch)
            for rank in range(world):
                for worker in range(n_workers):
                    part = self.stream()._with(rank=rank, world=world, batch=batch, worker=worker, n_workers=n_workers)
                    found = positions(part)
                    self.assertEqual(len(found) % batch, 0)
                    for nth in range(0, len(found), batch):
                        number = nth // batch * n_workers + worker
                        for at in range(batch):
                            merged[(number * batch + at) * world + rank] = found[nth + at]
            self.assertEqual(merged, whole[: len(merged)], (world, n_workers, batch))

    def test_a_worker_goes_on_where_it_stood(self):
        for worker in range(2):
            stream = self.stream()._with(batch=5, worker=worker, n_workers=2)
            expected = positions(self.stream()._with(batch=5, worker=worker, n_workers=2))
            begun = positions([next(stream) for _ in range(15)])
            other = self.stream()._with(batch=5, worker=worker, n_workers=2)
            other.load_state_dict(stream.state_dict())
            self.assertEqual(begun + positions(other), expected)

    def test_the_last_batch_is_filled_up_and_says_so(self):
        whole = self.stream()
        samples = [(it.index, it.step) for it in whole]
        parts = [list(it._with(batch=7, tail="pad")) for it in self.ranks(3)]
        self.assertEqual({len(it) for it in parts}, {-(-TOTAL // 21) * 7})
        merged = [parts[place % 3][place // 3] for place in range(3 * len(parts[0]))]
        self.assertEqual([(it.index, it.step) for it in merged], (samples * 2)[: len(merged)])
        self.assertEqual([it.is_repeat for it in merged], [place >= TOTAL for place in range(len(merged))])

    def test_another_number_of_ranks_goes_on_where_the_others_stopped(self):
        whole, found, state = positions(self.stream()), [], None
        for world, rounds in [(8, 3), (6, 4), (1, 11), (16, 1)]:
            streams = self.ranks(world, state)
            for _ in range(rounds):
                found += positions([next(it) for it in sorted(streams, key=lambda it: (it._share.rank - len(found)) % world)])
            states = [it.state_dict() for it in streams]
            self.assertTrue(all(it == states[0] for it in states), "ranks that stand at one place have one state")
            state = json.loads(json.dumps(states[0]))
            self.assertEqual(state["cursor"], len(found))
        rest = positions(self.resumed(state))
        self.assertEqual(found + rest, whole)

    def resumed(self, state, **options):
        stream = self.stream(**options)
        stream.load_state_dict(state)
        return stream

    def test_every_place_may_be_the_last_one(self):
        whole = positions(self.stream())
        stream = self.stream()
        for place in range(0, TOTAL + 1, 1 if LONG else 9):
            while stream.state_dict()["cursor"] < place:
                next(stream)
            rest = positions(self.resumed(stream.state_dict(), threads=1)) if place < TOTAL else []
            self.assertEqual(rest, whole[place:], place)

    def test_what_was_read_ahead_is_not_counted(self):
        stream = self.stream()
        next(stream)
        time.sleep(0.3)
        self.assertEqual(stream.state_dict()["cursor"], 1)

    def test_lengths_count_down(self):
        stream = self.stream(rank=1, world=3)
        self.assertEqual(len(stream), TOTAL // 3)
        next(stream)
        self.assertEqual(len(stream), TOTAL // 3 - 1)
        self.assertEqual(len(positions(stream)), TOTAL // 3 - 1)
        self.assertEqual(len(stream), 0)
        self.assertEqual(len(positions(stream)), TOTAL // 3, "iterated again it is the next epoch")


class States(Case):
    def test_a_state_is_small_and_json(self):
        stream = self.stream(window={"state": range(-3, 4)}, episodes=list(range(6)), drop_first=1)
        next(stream)
        text = json.dumps(stream.state_dict())
        self.assertLess(len(text), 1024)
        self.assertNotIn(str(self.folder), text)
        self.assertEqual(json.loads(text)["nd"], "stream-state/1")

    def test_a_state_of_the_end_goes_on_with_the_next_epoch(self):
        stream = self.stream()
        first = positions(stream)
        second = positions(stream)
        resumed = self.stream()
        done = self.stream()
        positions(done)
        resumed.load_state_dict(done.state_dict())
        self.assertEqual(positions(resumed), second)
        self.assertNotEqual(first, second)

    def test_a_state_of_another_stream_is_refused_and_named(self):
        state = self.stream().state_dict()
        others = {"seed": {"seed": 4}, "fields_hash": {"fields": ["action"]}, "unit": {"unit": "episode"}, "drop_first": {"drop_first": 1}}
        for word, options in others.items():
            with self.subTest(word), self.assertRaises(nodedata.StateMismatchError) as caught:
                self.stream(**options).load_state_dict(state)
            self.assertIn(word, str(caught.exception))
        node, _ = published("other", Set(LENGTHS, first=40), folder=self.folder)
        with self.assertRaises(nodedata.StateMismatchError) as caught:
            node.datasets.stream("other", unit="step", fields=["state"], shuffle=True, seed=3).load_state_dict(state)
        self.assertIn("manifest", str(caught.exception))

    def test_a_mixture_goes_on_too(self):
        def mixed():
            return nodedata.mix([(self.stream(), 0.7), (self.stream(seed=9), 0.3)], seed=5, stop="longest")

        def told(samples):
            return [(it.source, it.index, it.step) for it in samples]

        whole = mixed()
        passes = [told(whole), told(whole)]
        self.assertNotEqual(passes[0], passes[1])
        self.assertGreaterEqual(len({it[1:] for it in passes[0] if it[0] == 0}), TOTAL)
        stream = mixed()
        begun = [next(stream) for _ in range(37)]
        resumed = mixed()
        resumed.load_state_dict(json.loads(json.dumps(stream.state_dict())))
        self.assertLess(len(json.dumps(stream.state_dict())), 2048)
        self.assertEqual(told(begun) + told(resumed), passes[0])
        self.assertEqual(told(resumed), passes[1], "the next pass goes on where the first ended")

    def test_streams_and_datasets_pickle(self):
        stream = self.stream()
        for _ in range(10):
            next(stream)
        text = pickle.dumps(stream)
        rest = positions(stream)
        self.assertEqual(positions(pickle.loads(text)), rest)
        self.assertEqual(positions(pickle.loads(pickle.dumps(stream))), positions(stream), "one that ended begins its next epoch")
        dataset = pickle.loads(pickle.dumps(self.dataset))
        self.assertEqual((dataset.id, dataset.revision), (self.dataset.id, self.dataset.revision))
        split = pickle.loads(pickle.dumps(self.dataset["train"]))
        self.assertEqual(len(split), len(LENGTHS))
        steps = pickle.loads(pickle.dumps(self.dataset.steps("train", fields=["state"])))
        self.assertEqual(len(steps), TOTAL)

    def test_pickles_hold_no_token(self):
        node = nodedata.NodeData("http://127.0.0.1:9", token=TOKEN, author="acme")
        self.assertNotIn(TOKEN.encode(), pickle.dumps(node) + pickle.dumps(node.datasets))

    def test_a_closed_stream_keeps_its_place(self):
        whole = positions(self.stream())
        with self.stream() as stream:
            begun = positions([next(stream) for _ in range(5)])
        self.assertEqual(stream.stats()["n_samples"], 5, "what it did is still told")
        self.assertEqual(begun + positions(stream), whole)
        self.assertEqual(stream.stats()["n_samples"], TOTAL)


class Crashes(Case):
    """A process that is killed, and another one that goes on."""

    SCRIPT = """
import json, os, sys
from wheel_sets import positions
from nodedata import NodeData
store, path = sys.argv[1:]
stream = NodeData(store, author="acme").datasets.stream("small", unit="step", fields=["state"], shuffle=True, seed=3)
try:
    stream.load_state_dict(json.load(open(path)))
except FileNotFoundError:
    pass
for sample in stream:
    print(json.dumps(positions([sample])[0]), flush=True)
    with open(path + ".new", "w") as out:
        json.dump(stream.state_dict(), out)
    os.replace(path + ".new", path)
"""

    def run_until(self, n_samples, path):
        """What a process hands out until it is killed in the middle of something."""
        command = [PYTHON, "-c", self.SCRIPT, str(self.folder / "store"), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(self.folder)) as process:
            found = []
            for line in process.stdout:
                found.append(tuple(json.loads(line)))
                if len(found) == n_samples:
                    process.send_signal(signal.SIGKILL)
                    break
            # What it managed to print before it died.
            found += [tuple(json.loads(line)) for line in process.stdout if line.endswith("\n")]
        self.assertEqual(process.returncode, -signal.SIGKILL if n_samples < TOTAL else 0)
        return found

    def test_killed_and_resumed_it_hands_out_the_identical_rest(self):
        whole = positions(self.stream())
        rng = random.Random(1)
        for number in range(8 if LONG else 2):
            path = self.folder / f"state-{number}.json"
            first = self.run_until(rng.randrange(1, TOTAL // 2), path)
            cursor = json.loads(path.read_text())["cursor"]
            # A sample may have been printed whose state was not written any more: that one comes again, and none is left out.
            self.assertIn(len(first) - cursor, (0, 1))
            self.assertEqual(first, whole[: len(first)])
            rest = self.run_until(1 << 30, path)
            self.assertEqual(rest, whole[cursor:])


class Windows(Case):
    OFFSETS = {"state": [-2, 0, 5], "action": range(4)}

    def expected(self, episode, step, name, offsets, pad):
        values = self.data.numbers(episode)[0 if name == "state" else 1]
        at = np.asarray(list(offsets)) + step
        inside = np.clip(at, 0, len(values) - 1)
        taken, is_pad = values[inside], at != inside
        if pad != "edge":
            taken = np.where(is_pad[:, None], {"zero": 0, "nan": np.nan}[pad], taken).astype(np.float32)
        return taken, is_pad

    def check(self, sample, pad):
        for name, offsets in self.OFFSETS.items():
            taken, is_pad = self.expected(sample.index, sample.step, name, offsets, pad)
            np.testing.assert_array_equal(sample[name], taken)
            np.testing.assert_array_equal(sample[f"{name}_is_pad"], is_pad)
            self.assertEqual(sample[f"{name}_is_pad"].dtype, np.bool_)

    def test_windows_hold_the_steps_around_and_leave_no_episode(self):
        for pad in ("edge", "zero", "nan"):
            options = {"fields": ["state", "action", "count"], "window": self.OFFSETS, "pad": pad}
            streamed = list(self.stream(**options))
            self.assertEqual(len(streamed), TOTAL)
            for sample in streamed:
                self.check(sample, pad)
                self.assertEqual(sample["count"].shape, ())
                self.assertEqual(int(sample["count"]), sample.step - 3)
            steps = self.dataset.steps("train", **options)
            self.assertEqual(len(steps), TOTAL)
            for sample in steps.__getitems__(range(TOTAL)):
                self.check(sample, pad)

    def test_drop_leaves_out_what_a_window_would_leave(self):
        options = {"fields": ["state", "action"], "window": self.OFFSETS, "pad": "drop"}
        expected = [(e, t) for e, n in enumerate(LENGTHS) for t in range(2, n - 5)]
        streamed = list(self.stream(shuffle=False, **options))
        self.assertEqual([(it.index, it.step) for it in streamed], expected)
        mapped = self.dataset.steps("train", **options)[:]
        self.assertEqual([(it.index, it.step) for it in mapped], expected)
        for sample in streamed + mapped:
            self.assertFalse(sample["state_is_pad"].any() or sample["action_is_pad"].any())

    def test_seconds_are_steps(self):
        for seconds in ([-0.2, 0.0, 0.5], [np.float32(-0.2), 0, 0.50003]):
            stream = self.stream(window={"state": seconds, "action": "0:0.4s"}, fields=["state", "action"])
            for _ in range(20):
                self.check(next(stream), "edge")
        self.assertEqual(self.dataset["train"].fps, FPS)
        with self.assertRaises(nodedata.ConfigError) as caught:
            self.stream(window={"state": [0.04, 0.17]})
        message = str(caught.exception)
        self.assertIn("0.04 s lie between two steps; the nearest is at 0.0 s", message)
        self.assertIn("0.17 s lie between two steps; the nearest is at 0.2 s", message, "all mistakes at once")

    def test_windows_may_be_given_as_iterators(self):
        options = {"unit": None, "style": "lerobot", "fields": ["state"], "shuffle": False}
        expected = list(self.stream(delta_timestamps={"state": [-0.1, 0.0]}, **options))
        stream = self.stream(delta_timestamps={"state": iter([-0.1, 0.0])}, **options)
        for other in (pickle.loads(pickle.dumps(stream)), stream):
            for found, told in zip(other, expected, strict=True):
                np.testing.assert_array_equal(found["state"], told["state"])
        found = next(self.stream(window={"state": iter([-2, 0, 5])}))
        self.assertEqual(found["state"].shape, (3, 7))

    def test_map_style_and_streams_hand_out_the_same(self):
        options = {"window": {"state": [-1, 0], "points": [0, 1], "note": [-1, 1]}, "drop_first": 1, "drop_last": 2, "episodes": [0, 2, "5"]}
        streamed = list(self.node.datasets.stream(self.dataset, unit="step", **options))
        steps = self.dataset.steps("train", **options)
        self.assertEqual(len(steps), sum(LENGTHS[it] - 3 for it in (0, 2, 5)))
        self.assertEqual(len(streamed), len(steps))
        for number, expected in enumerate(streamed):
            found = steps[number]
            self.assertEqual((found.key, found.step, list(found)), (expected.key, expected.step, list(expected)))
            for name, value in expected.items():
                if isinstance(value, nodedata.Ragged):
                    np.testing.assert_array_equal(found[name].values, value.values)
                    np.testing.assert_array_equal(found[name].offsets, value.offsets)
                elif isinstance(value, np.ndarray):
                    np.testing.assert_array_equal(found[name], value)
                    self.assertEqual(found[name].dtype, value.dtype)
                else:
                    self.assertEqual(found[name], value)
                np.testing.assert_array_equal(found.valid[name], expected.valid[name])


if __name__ == "__main__":
    unittest.main()
