"""`node-data convert s3://…` against a real S3 server: the same bytes as from disk, and clear errors. Run by `cargo
xtask test`."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from s3_server import S3Server, ServerAbsent

BUCKET = "recordings"
# The second name has what URLs and object stores treat in their own ways.
FILES = {"teleop.mcap": "teleop.mcap", "day 1/#2 [ü]+~%.mcap": "json_and_cbor.mcap"}
CONVERT_SECONDS_MAX = 30


class S3Inputs(unittest.TestCase):
    server = None
    absent = None

    @classmethod
    def setUpClass(cls):
        if "NODEDATA_BINARY" not in os.environ:
            cls.absent = "NODEDATA_BINARY is not set: run `cargo xtask test`"
            return
        # Not tearDownClass, which does not run when this fails.
        scratch = tempfile.TemporaryDirectory(prefix="node-data-s3-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        cls.fixtures = pathlib.Path(os.environ["NODEDATA_FIXTURES"]) / "mcap"
        try:
            cls.server = S3Server(cls.folder)
            cls.addClassCleanup(cls.server.stop)
            cls.server.wait_until_it_stores(BUCKET)
        except ServerAbsent as err:
            cls.absent = f"no S3 server, so nothing about s3:// is proved: {err}"
            return
        for name, fixture in FILES.items():
            content = (cls.fixtures / fixture).read_bytes()
            cls.server.put(f"{BUCKET}/runs/{name}", content)
            local = cls.folder / "runs" / name
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(content)

    def setUp(self):
        # Not in setUpClass: a class skipped there is missing from the number of tests that ran.
        if self.absent is not None:
            self.skipTest(self.absent)

    def convert(self, source, **environment):
        """Exit code, stderr, and the manifest or None."""
        out = pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "out"
        self.addCleanup(shutil.rmtree, out.parent)
        # Nothing of the developer's own cloud must decide what happens here.
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GOOGLE_", "AZURE_"))}
        store = {
            "AWS_ENDPOINT": self.server.endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
            "AWS_SKIP_SIGNATURE": "true", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        }
        done = subprocess.run(
            [os.environ["NODEDATA_BINARY"], "convert", str(source), "--out", str(out)],
            env=own | store | environment, capture_output=True, text=True, timeout=CONVERT_SECONDS_MAX,
        )
        manifest = out / "manifest.json"
        return done.returncode, done.stderr, json.loads(manifest.read_text()) if manifest.exists() else None

    def check_same(self, remote, local):
        """Both sources become one dataset, byte for byte."""
        exit_code, stderr, found = self.convert(remote)
        self.assertEqual(exit_code, 0, stderr)
        exit_code, stderr, wanted = self.convert(local)
        self.assertEqual(exit_code, 0, stderr)
        self.assertGreater(len(wanted["shards"]), 0)
        self.assertEqual(hashes(found), hashes(wanted))
        for key in ("inputs", "recipe", "content_root", "provenance_root"):
            self.assertEqual(found[key], wanted[key], key)

    def test_a_prefix_becomes_the_dataset_of_the_same_folder(self):
        for remote in (f"s3://{BUCKET}/runs", f"s3://{BUCKET}/runs/"):
            with self.subTest(remote):
                self.check_same(remote, self.folder / "runs")

    def test_one_object_becomes_the_dataset_of_the_same_file(self):
        self.check_same(f"s3://{BUCKET}/runs/teleop.mcap", self.fixtures / "teleop.mcap")

    def test_a_whole_bucket_is_read_with_dummy_credentials(self):
        signed = {"AWS_SKIP_SIGNATURE": "false", "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
        exit_code, stderr, manifest = self.convert(f"s3://{BUCKET}", **signed)
        self.assertEqual(exit_code, 0, stderr)
        self.assertEqual([it["path"] for it in manifest["inputs"]], sorted(f"runs/{name}" for name in FILES))

    def test_folder_markers_are_no_files(self):
        self.server.make_bucket("marked")
        for name in ("runs/", "runs/day/"):
            self.server.put(f"marked/{name}")
        self.server.put("marked/runs/day/a.mcap", (self.fixtures / "json_and_cbor.mcap").read_bytes())
        exit_code, stderr, manifest = self.convert("s3://marked/runs")
        self.assertEqual((exit_code, stderr.count("not read")), (0, 0), stderr)
        self.assertEqual([it["path"] for it in manifest["inputs"]], ["day/a.mcap"])

    def check_refused(self, source, exit_code, *words):
        found, stderr, manifest = self.convert(source)
        self.assertEqual(found, exit_code, stderr)
        self.assertIsNone(manifest)
        for word in ("error: ", "hint: ", source, *words):
            self.assertIn(word, stderr)
        self.assertNotIn("panicked", stderr)

    def test_what_is_not_there_is_named(self):
        self.check_refused(f"s3://{BUCKET}/run", 2, "no object is there")
        self.check_refused("s3://nobody-made-this/runs", 1, "NoSuchBucket")

    def test_a_url_that_would_lose_a_part_is_refused(self):
        self.check_refused(f"s3://{BUCKET}/runs#2", 2, "%23")
        self.check_refused(f"s3://{BUCKET}/runs?x", 2, "%3F")
        self.check_refused(f"s3://{BUCKET}/runs/*.mcap", 2, "%2A")


def hashes(manifest):
    """Path and address of every shard."""
    return sorted((shard["path"], shard["b3"]) for shard in manifest["shards"])


if __name__ == "__main__":
    unittest.main()
