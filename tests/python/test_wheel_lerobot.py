"""`style="lerobot"` hands out what `LeRobotDataset` hands out: held against what it read of the fixtures, and against itself where
it is installed. Run by `cargo xtask test`."""
import importlib
import json
import unittest

import numpy as np

import nodedata
from nodedata import NodeData
from wheel_sets import digest, lerobot_sets, scratch

SETS = lerobot_sets()


def lerobot():
    """Its dataset class, or why there is none."""
    for module in ("lerobot.datasets", "lerobot.datasets.lerobot_dataset"):
        try:
            return importlib.import_module(module).LeRobotDataset, None
        except (ImportError, AttributeError) as err:
            reason = str(err)
    return None, reason


OFFICIAL, ABSENT = lerobot()


class Case(unittest.TestCase):
    def stream(self, name, **options):
        """A set as our items."""
        out = scratch() / "dataset"
        nodedata.convert(SETS[name][0], out)
        return NodeData().datasets.stream(nodedata.open_folder(out), style="lerobot", **options)


class Items(Case):
    def test_items_are_those_that_lerobot_read_of_the_fixtures(self):
        for name, (_, truth) in SETS.items():
            items = list(self.stream(name))
            self.assertEqual(len(items), truth["total_frames"])
            for told in truth["episodes"]:
                for place, item in ((told["from"], told["first"]), (told["to"] - 1, told["last"])):
                    self.compare(items[place], item, name, exact=name.endswith("_image"))
                found = [round(float(it["timestamp"]), 6) for it in items[told["from"] : told["to"]]]
                np.testing.assert_allclose(found, told["timestamps"], atol=1e-6)

    def compare(self, item, told, name, exact):
        self.assertEqual(sorted(item), sorted(told), name)
        for field, expected in told.items():
            value = item[field]
            if isinstance(expected, str):
                self.assertEqual(value, expected, f"{name} {field}")
            elif "values" in expected:
                self.assertEqual((str(value.dtype), list(value.shape)), (expected["dtype"], expected["shape"]), f"{name} {field}")
                np.testing.assert_array_equal(value, np.asarray(expected["values"], dtype=value.dtype), f"{name} {field}")
            else:
                # Told as height, width, channels; items have channels first.
                pixels = value.transpose(1, 2, 0)
                self.assertEqual((str(pixels.dtype), list(pixels.shape)), (expected["dtype"], expected["shape"]))
                if exact:
                    self.assertEqual(digest(pixels), expected["sha256"])
                self.assertLess(abs(pixels.mean() - expected["mean"]), 2, f"{name} {field}")

    def test_delta_timestamps_make_windows_as_in_lerobot(self):
        deltas = {"action": [0.0, 0.1, 0.2], "observation.images.front": [-0.1, 0.0]}
        plain = list(self.stream("v30_image"))
        for place, item in enumerate(self.stream("v30_image", delta_timestamps=deltas)):
            episode = int(item["episode_index"])
            own = [it for it in plain if int(it["episode_index"]) == episode]
            step = int(item["frame_index"])
            for field, offsets in (("action", [0, 1, 2]), ("observation.images.front", [-1, 0])):
                at = np.array(offsets) + step
                inside = np.clip(at, 0, len(own) - 1)
                np.testing.assert_array_equal(item[field], np.stack([own[it][field] for it in inside]))
                np.testing.assert_array_equal(item[f"{field}_is_pad"], at != inside)
            self.assertEqual(int(item["index"]), place)

    def test_map_style_hands_out_the_same_items(self):
        stream = self.stream("v21_simple")
        dataset = stream._sources[0].dataset
        steps = dataset.steps("train", style="lerobot")
        for expected, found in zip(stream, steps[:], strict=True):
            self.assertEqual(list(expected), list(found))
            for field, value in expected.items():
                np.testing.assert_array_equal(found[field], value, field)

    def test_what_lerobot_does_not_do_is_refused(self):
        for options in ({"unit": "episode"}, {"pad": "nan"}, {"layout": "hwc"}, {"window": {"action": [0]}, "delta_timestamps": {"action": [0.0]}}):
            with self.assertRaises(nodedata.ConfigError):
                self.stream("v21_simple", **options)
        with self.assertRaises(nodedata.ConfigError):
            NodeData().datasets.stream(self.stream("v21_simple")._sources[0].dataset, unit="step", delta_timestamps={"action": [0.0]})


@unittest.skipIf(OFFICIAL is None, f"no LeRobot, so its items are compared only as far as the fixtures tell: {ABSENT}")
class Official(Case):
    """Every value of every item."""

    DELTAS = {"action": [0.0, 0.1, 0.2], "observation.state": [-0.2, 0.0], "observation.images.front": [-0.1, 0.0]}

    def test_every_value_is_lerobots(self):
        # Those of other versions it does not read.
        versions = {name: json.loads((folder / "meta/info.json").read_text())["codebase_version"] for name, (folder, _) in SETS.items()}
        names = [it for it, version in versions.items() if version.startswith("v3")]
        self.assertGreaterEqual(len(names), 2)
        for name in names:
            folder, truth = SETS[name]
            deltas = {field: it for field, it in self.DELTAS.items() if field in truth["features"]}
            for given in (None, deltas):
                official = OFFICIAL(f"lab/{name}", root=folder, delta_timestamps=given, video_backend="pyav")
                ours = list(self.stream(name, delta_timestamps=given))
                self.assertEqual(len(ours), len(official))
                for number, item in enumerate(ours):
                    self.compare_item(item, official[number], name)

    def compare_item(self, item, expected, name):
        self.assertEqual(sorted(item), sorted(expected), name)
        for field, value in expected.items():
            if isinstance(value, str):
                self.assertEqual(item[field], value)
                continue
            value = value.numpy()
            self.assertEqual(item[field].shape, value.shape, field)
            if field.startswith("observation.images."):
                pixels = np.rint(value * 255).astype(int) if value.dtype.kind == "f" else value.astype(int)
                limit = 0 if name.endswith("_image") else 3
                self.assertLessEqual(np.abs(item[field].astype(int) - pixels).mean(), limit, field)
            else:
                self.assertEqual(item[field].dtype, value.dtype, field)
                np.testing.assert_array_equal(item[field], value, field)


if __name__ == "__main__":
    unittest.main()
