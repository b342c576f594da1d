"""The same samples from every kind of registry: a folder, a server, a bucket; and no more bytes than are needed. Run by `cargo xtask
test`."""
import contextlib
import os
import pickle
import socket
import subprocess
import threading
import unittest
import urllib.parse

import numpy as np

import nodedata
from nodedata import NodeData
from s3_server import S3Server, ServerAbsent
from wheel_sets import OWNER, Set, depth, noise, picture, positions, published, scratch

LENGTHS = [12, 1, 30, 7]
SIZE = (48, 64)
BUCKET = "wheel"
SECONDS_MAX = 60


class Kinds:
    """What every registry is held to; `store` says which it is."""

    @classmethod
    def publish(cls):
        cls.data = Set(LENGTHS, SIZE)
        cls.data.write(cls.folder / "set", per_shard=2)
        cls.node = NodeData(cls.store, author=OWNER)
        made = cls.node.datasets.create("everywhere", license="MIT", exist_ok=True)
        cls.node.datasets.upload(made.id, files=[cls.folder / "set/shards"], schema=cls.folder / "set/schema.json")

    def test_episodes_and_steps_are_what_was_written(self):
        for cache in (None, str(self.folder / "own-cache:64MiB"), False):
            dataset = self.node.datasets.open("everywhere", cache=cache)
            for number, episode in enumerate(self.node.datasets.stream(dataset)):
                np.testing.assert_array_equal(episode["state"], self.data.numbers(number)[0])
                for step in range(LENGTHS[number]):
                    np.testing.assert_array_equal(episode["rgb"][step], picture(number, step, SIZE))
                    np.testing.assert_array_equal(episode["depth"][step], depth(number, step, SIZE))
        frame = dataset["train"].frame(2, 17, fields=["rgb"])
        np.testing.assert_array_equal(frame["rgb"], picture(2, 17, SIZE))

    def test_the_order_is_that_of_every_registry(self):
        local, _ = published("everywhere", self.data, per_shard=2)
        options = {"unit": "step", "fields": ["state", "rgb"], "shuffle": True, "seed": 5}
        found = positions(self.node.datasets.stream("everywhere", **options))
        self.assertEqual(found, positions(local.datasets.stream("everywhere", **options)))
        stream = self.node.datasets.stream("everywhere", **options)
        begun = positions([next(stream) for _ in range(20)])
        self.assertEqual(begun + positions(pickle.loads(pickle.dumps(stream))), found)

    def test_it_is_verified_and_pulled(self):
        self.assertTrue(self.node.datasets.verify("everywhere")["sound"])
        out = scratch() / "pulled"
        self.node.datasets.pull("everywhere", out)
        self.assertEqual(len(nodedata.open_folder(out)["train"]), len(LENGTHS))

    def test_what_is_on_disk_is_not_fetched_again(self):
        cache = str(scratch() / "blobs")
        fetched = []
        for _ in range(2):
            stream = self.node.datasets.stream("everywhere", unit="step", cache=cache)
            self.assertEqual(len(positions(stream)), sum(LENGTHS))
            fetched.append(self.n_bytes())
        if fetched[0] is not None:
            self.assertLess(fetched[1] - fetched[0], fetched[0] / 4)

    def n_bytes(self):
        """Bytes that came from the registry so far, where something counts them."""
        return None


class Folder(Kinds, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = scratch()
        cls.store = str(cls.folder / "store")
        cls.publish()


@unittest.skipUnless("NODEDATA_BINARY" in os.environ, "NODEDATA_BINARY is not set: run `cargo xtask test`")
class Server(Kinds, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = scratch()
        # Published by who looks after the store, read through the server.
        cls.store = str(cls.folder / "store")
        cls.publish()
        command = [os.environ["NODEDATA_BINARY"], "serve", "--listen", "127.0.0.1:0", "--quiet", "--data", str(cls.folder / "server"), "--store", cls.store]
        token = subprocess.run([*command[:2], "--data", str(cls.folder / "server"), "--store", cls.store, "--new-token", OWNER, "--scope", f"read:{OWNER}/*"],
                               capture_output=True, text=True, timeout=SECONDS_MAX)
        if token.returncode:
            raise AssertionError(token.stderr)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.kill)
        cls.addClassCleanup(process.stdout.close)
        cls.store = process.stdout.readline().strip()
        cls.token = token.stdout.split()[-1]
        cls.enterClassContext(variable("NODEDATA_TOKEN", cls.token))
        cls.node = NodeData(cls.store, author=OWNER)

    def test_strangers_are_denied(self):
        with variable("NODEDATA_TOKEN", None), self.assertRaises((nodedata.DeniedError, nodedata.NotFoundError)):
            NodeData(self.store, author="stranger").datasets.open(f"{OWNER}/everywhere")


class Bucket(Kinds, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = scratch()
        try:
            server = S3Server(cls.folder)
            cls.addClassCleanup(server.stop)
            server.wait_until_it_stores(BUCKET)
        except ServerAbsent as err:
            raise unittest.SkipTest(f"no S3 server, so nothing about buckets is proved: {err}") from err
        cls.counter = Counter(urllib.parse.urlsplit(server.endpoint).port)
        cls.addClassCleanup(cls.counter.stop)
        own = {
            "AWS_ENDPOINT": f"http://127.0.0.1:{cls.counter.port}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
            "AWS_SKIP_SIGNATURE": "true", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        }
        for name, value in own.items():
            cls.enterClassContext(variable(name, value))
        cls.store = f"s3://{BUCKET}/{cls.folder.name}"
        cls.publish()

    def n_bytes(self):
        return self.counter.n_bytes

    def test_a_shuffled_epoch_fetches_what_it_needs(self):
        """Counted where the server's answers pass, with all that is said beside the bytes: by one rank and by four, each with lanes of
        its own or with a disk that they share."""
        lengths, block = [384, 384], 192
        total = sum(lengths)
        Set(lengths, (120, 160), pictures=noise).write(self.folder / "large", per_shard=1)
        nodedata.convert(self.folder / "large/shards", self.folder / "converted", access="random")
        made = self.node.datasets.create("large", license="MIT")
        self.node.datasets.upload(made.id, files=[self.folder / "converted"])
        for world, options, cache in (
            (1, {}, False),
            # Lanes of whole blocks, as large ones are: small sets are one lane, of which each rank needs all.
            (4, {"lanes": 4, "block": block}, False),
            (4, {}, str(scratch() / "shared")),
        ):
            found, fetched = [], 0
            for rank in range(world):
                dataset = self.node.datasets.open("large", cache=cache)
                shards = [it for it in dataset.files() if it["path"].endswith(".parquet") and not it["path"].startswith("index/")]
                needed = sum(it["bytes"] for it in shards)
                # The index and the ends of shards are read once, whatever is read of them.
                for episode in range(len(lengths)):
                    dataset["train"].frame(episode, 0, fields=["count"])
                before = self.n_bytes()
                # All fields, so that all bytes of the shards are needed.
                stream = self.node.datasets.stream(dataset, unit="step", shuffle=True, rank=rank, world=world, **options)
                found += [(it.key, it.step) for it in stream]
                fetched += self.n_bytes() - before
            self.assertEqual((len(found), len(set(found))), (total, total))
            self.assertGreater(needed, 16 << 20)
            self.assertLessEqual(fetched / needed, 1.1, f"world {world}, {options}, cache {cache}")
            if cache is False:
                self.assertGreater(fetched / needed, 0.9, "it is counted")


@contextlib.contextmanager
def variable(name, value):
    """A variable of the environment, as it was before afterwards."""
    before = os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


class Counter:
    """Hands connections on to a port, and counts the bytes that come back."""

    def __init__(self, port):
        self.n_bytes, self._to = 0, port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            threading.Thread(target=self._hand_on, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._hand_on, args=(far, near, True), daemon=True).start()

    def _hand_on(self, one, other, counts):
        # Each direction closes what it reads from, so that both are closed once nothing comes any more.
        with one, contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                if counts:
                    with self._lock:
                        self.n_bytes += len(data)
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def stop(self):
        self._listening.close()


if __name__ == "__main__":
    unittest.main()
