"""Streams in other processes: forked after use, spawned, nested, killed, interrupted. Run by `cargo xtask test`."""
import json
import multiprocessing
import os
import pathlib
import pickle
import signal
import subprocess
import threading
import time
import unittest

import nodedata
from wheel_sets import LONG, PYTHON, TOKEN, Set, environment, positions, published

LENGTHS = [12, 1, 30, 7, 3, 25]
TOTAL = sum(LENGTHS)
SECONDS_MAX = 60


def threads():
    """Threads of streams in this process. Those of the registry's runtime, of which all streams have one, come and go by themselves."""
    found = 0
    for task in pathlib.Path("/proc/self/task").iterdir():
        try:
            found += (task / "comm").read_text().startswith("nd-")
        except OSError:  # It has just ended.
            continue
    return found


def settled(count, seconds=1.5):
    """Whether the threads of this process come down to so many in time."""
    deadline = time.monotonic() + seconds
    while threads() > count and time.monotonic() < deadline:
        time.sleep(0.02)
    return threads() <= count


def read(stream, out):
    """What another process reads of a stream that it was given."""
    out.put(positions(stream))


def read_nested(stream, out):
    """The same, in a process that it forks, after it has read some itself."""
    first = positions([next(stream) for _ in range(5)])
    inner = multiprocessing.get_context("fork").Queue()
    child = multiprocessing.get_context("fork").Process(target=read, args=(stream, inner))
    child.start()
    rest = inner.get(timeout=SECONDS_MAX)
    child.join(SECONDS_MAX)
    out.put(first + rest)
    if positions(stream) != rest:
        raise SystemExit(3)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node, cls.folder = published("small", Set(LENGTHS, (24, 32)))
        cls.dataset = cls.node.datasets.open("small")

    def stream(self, **options):
        options = {"unit": "step", "fields": ["state", "rgb"], "shuffle": True, "seed": 3} | options
        return self.node.datasets.stream(self.dataset, **options)

    def read_by(self, method, stream, target=read):
        """What a process of that method reads."""
        context = multiprocessing.get_context(method)
        out = context.Queue()
        process = context.Process(target=target, args=(stream, out))
        process.start()
        try:
            found = out.get(timeout=SECONDS_MAX)
            process.join(SECONDS_MAX)
            self.assertEqual(process.exitcode, 0)
        finally:
            if process.is_alive():
                process.kill()
        return found


class Starts(Case):
    def test_every_start_method_reads_before_and_after_first_use_in_the_parent(self):
        whole = positions(self.stream())
        for method in ("fork", "forkserver", "spawn"):
            for used in (0, 9):
                with self.subTest(method=method, used=used):
                    stream = self.stream()
                    begun = positions([next(stream) for _ in range(used)])
                    self.assertEqual(begun + self.read_by(method, stream), whole)
                    self.assertEqual(begun + positions(stream), whole, "the parent goes on as if nothing was")

    def test_forks_of_forks_read(self):
        whole = positions(self.stream())
        stream = self.stream()
        begun = positions([next(stream) for _ in range(3)])
        self.assertEqual(begun + self.read_by("fork", stream, read_nested), whole)
        self.assertEqual(begun + positions(stream), whole)

    def test_no_start_hangs(self):
        """While the parent's threads are in the middle of their work."""
        whole = positions(self.stream())
        starts = 200 if LONG else 12
        for number in range(starts):
            stream = self.stream(ready_bytes=1 << 16)
            used = number % 7
            begun = positions([next(stream) for _ in range(used)])
            self.assertEqual(begun + self.read_by("fork", stream), whole, number)
            stream.close()

    def test_a_token_reaches_processes_that_are_forked_and_no_others(self):
        node = nodedata.NodeData(str(self.folder / "store"), token=TOKEN, author="acme")
        stream = node.datasets.stream("small", unit="step", fields=["state"])
        whole = positions(node.datasets.stream("small", unit="step", fields=["state"]))
        self.assertEqual(self.read_by("fork", stream), whole)
        self.assertNotIn(TOKEN.encode(), pickle.dumps(stream))

    def test_steps_are_read_in_forked_processes(self):
        steps = self.dataset.steps("train", fields=["state", "rgb"])
        expected = positions(steps[:])
        self.assertEqual(self.read_by("fork", steps), expected)
        self.assertEqual(self.read_by("spawn", steps), expected)


class Ends(Case):
    def test_closed_and_forgotten_streams_leave_no_thread(self):
        self.assertTrue(settled(0))
        for _ in range(3):
            # With so little room they cannot be done with the set.
            stream = self.stream(threads=4, ready_bytes=1 << 14)
            next(stream)
            self.assertGreater(threads(), 0, "it reads ahead")
            stream.close()
            self.assertTrue(settled(0))
            stream = self.stream(threads=4, ready_bytes=1 << 14)
            next(stream)
            del stream
            self.assertTrue(settled(0))
            with self.stream(ready_bytes=1 << 14) as stream:
                next(stream)
            self.assertTrue(settled(0))

    SCRIPT = """
import json, os, sys, time
from nodedata import NodeData
from test_wheel_processes import settled, threads
stream = NodeData(sys.argv[1], author="acme").datasets.stream("small", unit="step", shuffle=True, ready_bytes=1 << 14)
next(stream)
assert threads() > 0
print(os.getpid(), flush=True)
n = 0
try:
    while True:
        for sample in stream:
            n += 1
            if n % 500 == 0:
                print(n, flush=True)
except KeyboardInterrupt:
    # It may have come between two samples, where the stream knows nothing of it.
    stream.close()
    settled(0)
    print(json.dumps({"threads": threads(), "cursor": stream.state_dict()["cursor"]}), flush=True)
    sys.exit(7)
"""

    def start(self, script, *arguments, **more):
        command = [PYTHON, "-c", script, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(self.folder, **more))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, int(process.stdout.readline())

    def test_ctrl_c_ends_at_once_and_leaves_no_thread(self):
        process, pid = self.start(self.SCRIPT, self.folder / "store")
        process.stdout.readline()
        sent = time.monotonic()
        os.kill(pid, signal.SIGINT)
        last = process.stdout.read().splitlines()[-1]
        took = time.monotonic() - sent
        self.assertEqual(process.wait(SECONDS_MAX), 7)
        told = json.loads(last)
        self.assertEqual(told["threads"], 0)
        # 0.3 s to end, and whatever a busy machine takes to end a process: without signals looked for it would be for ever.
        self.assertLess(took, SECONDS_MAX / 2)

    def test_a_wait_is_interrupted_too(self):
        """A server that accepts and never answers."""
        script = """
import os, socket, sys, threading, time
from nodedata import NodeData
listening = socket.create_server(("127.0.0.1", 0))
held = []
threading.Thread(target=lambda: held.append(listening.accept()), daemon=True).start()
node = NodeData(f"http://127.0.0.1:{listening.getsockname()[1]}", author="acme")
print(os.getpid(), flush=True)
started = time.monotonic()
try:
    node.datasets.open("acme/small")
except KeyboardInterrupt:
    print("interrupted", flush=True)
    os._exit(7)
"""
        process, pid = self.start(script)
        time.sleep(1)
        sent = time.monotonic()
        os.kill(pid, signal.SIGINT)
        self.assertEqual(process.stdout.read().strip(), "interrupted")
        self.assertLess(time.monotonic() - sent, 3)
        self.assertEqual(process.wait(SECONDS_MAX), 7)

    def test_the_read_of_a_long_episode_is_interrupted_too(self):
        """Of a store that is mapped, where nothing is waited for: pictures are decoded all the time. The signal comes once the read is
        under way, and is raised before it has ended: its thread is still there."""
        _node, folder = published("long", Set([500], (240, 320), "jpeg"))
        script = """
import os, pathlib, signal, sys, threading, time
from nodedata import NodeData

def is_reading():
    for task in pathlib.Path("/proc/self/task").iterdir():
        try:
            if (task / "comm").read_text().strip() == "nodedata-wait":
                return True
        except OSError:  # It has just ended.
            pass
    return False

def ring(ends):
    while not ends.is_set():
        if is_reading():
            return os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.001)

episodes = NodeData(sys.argv[1], author="acme").datasets.open("long")["train"]
print(os.getpid(), flush=True)
n_raised = n_whole = 0
for _ in range(20):
    while is_reading():
        time.sleep(0.01)
    ends = threading.Event()
    ringing = threading.Thread(target=ring, args=(ends,))
    ringing.start()
    try:
        n_whole += len(episodes[0]["rgb"]) == 500
        ends.set()
        ringing.join()
        time.sleep(0)
    except KeyboardInterrupt:
        n_raised += is_reading()
    ends.set()
    ringing.join()
    if n_raised:
        break
assert len(episodes[0]["rgb"]) == 500
print(n_raised, n_whole, flush=True)
"""
        # One thread decodes: on a machine of many cores the read would be over before a signal is looked for.
        process, _pid = self.start(script, folder / "store", RAYON_NUM_THREADS="1")
        n_raised, n_whole = (int(it) for it in process.stdout.read().split())
        self.assertEqual(process.wait(SECONDS_MAX), 0)
        self.assertEqual(n_raised, 1, f"{n_whole} reads were whole before the signal was raised")

    def test_kill_leaves_nothing_and_the_next_job_starts_at_once(self):
        shared = pathlib.Path("/dev/shm")
        before = set(shared.iterdir()) if shared.is_dir() else set()
        process, pid = self.start(self.SCRIPT, self.folder / "store")
        process.stdout.readline()
        os.kill(pid, signal.SIGKILL)
        process.wait(SECONDS_MAX)
        self.assertFalse(pathlib.Path(f"/proc/{pid}/task").exists())
        started = time.monotonic()
        self.assertEqual(len(positions(self.stream())), TOTAL)
        self.assertLess(time.monotonic() - started, 10)
        own = {it for it in (set(shared.iterdir()) - before if shared.is_dir() else set()) if "nodedata" in it.name}
        self.assertEqual(own, set())

    def test_a_signal_takes_no_sample_away(self):
        """Handlers raise while samples are waited for: the state is that of what was handed out, and the rest comes all the same."""
        whole, ends, n_raised = positions(self.stream()), threading.Event(), 0

        def ring(_number, frame):
            # In the wait alone: behind it the sample is this test's, which would lose it.
            if frame.f_code is nodedata.Stream.__next__.__code__ and "raw" not in frame.f_locals:
                raise KeyboardInterrupt

        def send():
            while not ends.wait(0.0005):
                signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

        before = signal.signal(signal.SIGUSR1, ring)
        sending = threading.Thread(target=send)
        sending.start()
        try:
            deadline = time.monotonic() + SECONDS_MAX
            while n_raised < 10 and time.monotonic() < deadline:
                for rank, world in ((0, 1), (1, 2)):
                    expected, found = whole[rank::world][: TOTAL // world], []
                    stream = self.stream(rank=rank, world=world, threads=1)
                    while len(found) < len(expected):
                        try:
                            found += positions([next(stream)])
                        except KeyboardInterrupt:
                            n_raised += 1
                            self.assertEqual(stream.state_dict()["cursor"], len(found) * world)
                            self.assertEqual(len(stream), len(expected) - len(found))
                            if n_raised % 4 == 0:
                                self.assertEqual(found + self.read_by("fork", stream), expected)
                                stream = pickle.loads(pickle.dumps(stream))
                    self.assertEqual(found, expected)
        finally:
            ends.set()
            sending.join()
            signal.signal(signal.SIGUSR1, before)
        self.assertGreaterEqual(n_raised, 10, "hardly a wait was interrupted")

    def test_other_threads_run_while_a_stream_waits_and_decodes(self):
        ticks, goes_on = [], threading.Event()

        def tick():
            while not goes_on.is_set():
                ticks.append(time.monotonic())
                time.sleep(0.001)

        ticking = threading.Thread(target=tick)
        ticking.start()
        try:
            for _ in range(3):
                positions(self.stream(threads=1))
        finally:
            goes_on.set()
            ticking.join()
        gaps = [b - a for a, b in zip(ticks, ticks[1:])]
        self.assertLess(max(gaps), 0.5, "nobody holds the interpreter for long")


if __name__ == "__main__":
    unittest.main()
