"""A published revision in Croissant loads in mlcroissant without a mistake, and an exported folder opens in `datasets`. Run by
`cargo xtask test`."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

try:
    import datasets
except ImportError as err:  # Another environment than that of the readers.
    ABSENT = str(err)
else:
    ABSENT = None

# mlcroissant is read in a process of its own. What it says of a file: mistakes, record sets with their fields, types.
READ_CROISSANT = """
import json, sys, warnings, logging
import mlcroissant
dataset = mlcroissant.Dataset(jsonld=json.load(open(sys.argv[1])))
issues = dataset.metadata.ctx.issues
sets = {it.id: [field.id for field in it.fields] for it in dataset.metadata.record_sets}
print(json.dumps({"errors": list(issues.errors), "warnings": list(issues.warnings), "sets": sets, "version": str(dataset.metadata.version)}))
"""


class Exports(unittest.TestCase):
    def setUp(self):
        if "NODEDATA_DATASETS" not in os.environ:
            self.skipTest("NODEDATA_DATASETS is not set: run `cargo xtask test`")
        scratch = tempfile.TemporaryDirectory(prefix="node-data-exports-")
        self.addCleanup(scratch.cleanup)
        self.work = pathlib.Path(scratch.name)
        self.folders = sorted(it for it in pathlib.Path(os.environ["NODEDATA_DATASETS"]).iterdir() if it.is_dir())
        self.assertTrue(self.folders)

    def run_command(self, *arguments):
        done = subprocess.run(
            [os.environ["NODEDATA_BINARY"], *map(str, arguments)], cwd=self.work, capture_output=True, text=True, timeout=120,
            env=os.environ | {"NODEDATA_STORE": str(self.work / "store"), "XDG_CACHE_HOME": str(self.work / "cache"), "NODEDATA_USER": "test"},
        )
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return done.stdout

    def test_croissant_has_no_mistakes(self):
        python = os.environ.get("NODEDATA_CROISSANT_PYTHON")
        if python is None:
            self.skipTest("mlcroissant is not installed")
        for folder in self.folders:
            with self.subTest(folder=folder.name):
                name = folder.name.replace("_", "-")
                self.run_command("dataset", "push", "--name", name, "--license", "CC-BY-4.0", folder)
                text = self.run_command("export", "croissant", name)
                path = self.work / f"{name}.json"
                path.write_text(text)
                read = subprocess.run([python, "-c", READ_CROISSANT, str(path)], capture_output=True, text=True, timeout=120)
                self.assertEqual(read.returncode, 0, read.stderr)
                told = json.loads(read.stdout.splitlines()[-1])
                self.assertEqual((told["errors"], told["warnings"], told["version"]), ([], [], "1.0.0"))
                streams = [it["name"] for it in json.loads((folder / "manifest.json").read_text())["streams"] if it["rows"] > 0]
                for stream in streams:
                    name = "".join(it if re.match(r"[A-Za-z0-9._/-]", it) else f"~{ord(it):x}~" for it in stream)
                    name = re.sub("^/", "~2f~", name)
                    self.assertIn(f"{name}@train", told["sets"])

    @unittest.skipIf(ABSENT is not None, f"no readers: {ABSENT}")
    def test_exported_folders_open(self):
        for folder in self.folders:
            with self.subTest(folder=folder.name):
                out = self.work / folder.name
                self.run_command("export", "hf", folder, out)
                manifest = json.loads((folder / "manifest.json").read_text())
                for stream in manifest["streams"]:
                    if stream["rows"] == 0:
                        continue
                    config = stream["folder"].rsplit("/", 1)[-1]
                    loaded = datasets.load_dataset(str(out), config, cache_dir=str(self.work / "hf"))
                    self.assertEqual(sum(it.num_rows for it in loaded.values()), stream["rows"])


if __name__ == "__main__":
    unittest.main()
