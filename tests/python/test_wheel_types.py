"""The stubs say what the package is, and type checkers take programs that use it and refuse those that misuse it. Run by
`cargo xtask test`."""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import nodedata
from wheel_sets import PYTHON

GOOD = """
import numpy as np
import numpy.typing as npt
import nodedata
from nodedata import Episode, NodeData, Step

node = NodeData(store=None, author="acme")
made = node.datasets.create(name="x", modality=["rgb"], license="CC-BY-4.0", price_usd=199.00, pii=None, exist_ok=True)
upload = node.datasets.upload(made.id, files=["./shards/"], schema="./schema.json", mode="add")
revision: str = upload.revision
for episode in node.datasets.stream("acme/x", split="train"):
    rgb: npt.NDArray[np.uint8] = episode["rgb"]
stream = node.datasets.stream("acme/x", unit="step", window={"rgb": [-1, 0], "action": range(16), "s": "0:0.5s"}, pad="edge", shuffle="uniform")
state = stream.state_dict()
stream.load_state_dict(state)
left: int = len(stream)
for batch in stream.batches(64, drop_last=False):
    print(batch["rgb"])
mixed = nodedata.mix([(stream, 0.7), (node.datasets.stream("acme/y"), 0.3)], stop="shortest")
dataset = node.datasets.open("acme/x", revision="1.0.0")
first: Episode = dataset["train"][0]
several: list[Episode] = dataset["train"][0:3]
frame: Step = dataset["train"].frame(0, 3, fields=["rgb"])
normalised: npt.NDArray[np.float32] = dataset.stats.normalize("action", "min_max")(first["action"])
try:
    dataset.verify(sample=0.1, seed=1)
except nodedata.CorruptError as err:
    where: dict[str, object] = err.where
    hint: str | None = err.hint
"""

BAD = {
    'NodeData().datasets.stream("x", widnow={})': "widnow",
    'NodeData().datasets.stream("x", unit="frame")': "unit",
    'NodeData().datasets.stream("x", pad="mirror")': "pad",
    'NodeData().datasets.upload("x", files=["a"], mode="append")': "mode",
    'NodeData().datasets.stream("x").normalize("a", "std")': "arg-type",
}


class Types(unittest.TestCase):
    def check(self, text):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "program.py")
            program.write_text(text)
            return subprocess.run(
                [PYTHON, "-m", "mypy", "--strict", "--cache-dir", str(pathlib.Path(folder, "cache")), str(program)],
                capture_output=True, text=True, cwd=folder, timeout=600,
            )

    def test_programs_that_use_it_are_taken(self):
        done = self.check(GOOD)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_programs_that_misuse_it_are_refused(self):
        lines = "\n".join(BAD)
        done = self.check(f"from nodedata import NodeData\n{lines}\n")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for number, (line, word) in enumerate(BAD.items(), 2):
            told = [it for it in done.stdout.splitlines() if f"program.py:{number}:" in it and "error" in it]
            self.assertTrue(any(word in it for it in told), f"{line}: {told}")

    def test_the_stubs_are_those_of_the_package(self):
        with tempfile.TemporaryDirectory() as folder:
            config, allowed = pathlib.Path(folder, "mypy.ini"), pathlib.Path(folder, "allowed.txt")
            config.write_text(CONFIG)
            allowed.write_text(ALLOWED)
            command = [PYTHON, "-m", "mypy.stubtest", "nodedata", "--mypy-config-file", str(config), "--allowlist", str(allowed)]
            done = subprocess.run([*command, "--ignore-unused-allowlist"], capture_output=True, text=True, timeout=600, cwd=folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_sources_of_the_package_are_typed(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder, "mypy.ini")
            config.write_text(CONFIG)
            command = [PYTHON, "-m", "mypy", "--config-file", str(config), "--cache-dir", str(pathlib.Path(folder, "cache"))]
            # By itself: beside other packages these would be taken for ours.
            package = pathlib.Path(folder, "sources", "nodedata")
            shutil.copytree(pathlib.Path(nodedata.__file__).parent, package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
            done = subprocess.run([*command, str(package)], capture_output=True, text=True, timeout=600, cwd=package.parent)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


# What only some have is not looked into.
CONFIG = """
[mypy]
strict = True
disallow_subclassing_any = False
warn_unused_ignores = False
[mypy-torch.*,ray.*,pyarrow.*,datasets.*]
ignore_missing_imports = True
follow_imports = skip
"""

# What is not public, and where the package says less than the stubs.
ALLOWED = r"""
nodedata\._.*
nodedata\.ray.*
"""


if __name__ == "__main__":
    unittest.main()
