"""What the wheel reads is what was written: types, shapes, nulls, pictures, from every kind of shard. Run by `cargo xtask test`."""
import json
import os
import pathlib
import subprocess
import unittest

import duckdb
import numpy as np
import PIL.Image
import pyarrow as pa

import nodedata
from nodedata import NodeData
from wheel_sets import Set, decoded, depth, digest, environment, lerobot_sets, noise, picture, published, scratch

LENGTHS = [5, 1, 9, 4]
SIZE = (48, 64)
FIXTURES = pathlib.Path(os.environ.get("NODEDATA_FIXTURES", pathlib.Path(__file__).parent / "../../fixtures"))


class Case(unittest.TestCase):
    CODING = "png"
    OPTIONS = {}

    @classmethod
    def setUpClass(cls):
        cls.data = Set(LENGTHS, SIZE, cls.CODING)
        cls.node, cls.folder = published("pictures", cls.data, per_shard=2, **cls.OPTIONS)
        cls.dataset = cls.node.datasets.open("pictures")

    def check_episode(self, episode, number):
        length = LENGTHS[number]
        state, action = self.data.numbers(number)
        self.assertEqual((episode.index, episode.key, episode.split, episode.revision), (number, str(number), "train", "1.0.0"))
        for name, values, dtype in [("state", state, np.float32), ("action", action, np.float32), ("count", np.arange(length) - 3, np.int16)]:
            self.assertEqual(episode[name].dtype, dtype)
            np.testing.assert_array_equal(episode[name], values)
        nulls = self.data.is_null(number)
        np.testing.assert_array_equal(episode.valid["reward"], ~nulls)
        np.testing.assert_array_equal(episode["reward"], np.where(nulls, np.nan, np.arange(length) / 2))
        np.testing.assert_array_equal(episode.valid["state"], np.ones(length, dtype=bool))
        self.assertEqual(episode["note"], [self.data.note(number, step) for step in range(length)])
        points = episode["points"]
        self.assertEqual((len(points), len(points.offsets)), (length, length + 1))
        for step in range(length):
            np.testing.assert_array_equal(points[step], self.data.points(number, step))
            self.check_frame(episode["rgb"][step], episode["depth"][step], number, step)
        self.assertEqual((episode["rgb"].shape, episode["rgb"].dtype), ((length, *SIZE, 3), np.uint8))
        self.assertEqual((episode["depth"].shape, episode["depth"].dtype), ((length, *SIZE), np.uint16))

    def check_frame(self, rgb, distance, number, step):
        truth = picture(number, step, SIZE)
        if self.CODING == "png":
            np.testing.assert_array_equal(rgb, truth)
        else:
            # Decoders of JPEG may differ by a little; another picture differs by much.
            self.assertLess(np.abs(rgb.astype(int) - truth).mean(), 3)
        np.testing.assert_array_equal(distance, depth(number, step, SIZE), "distances are exact")


class Pictures(Case):
    def test_episodes_steps_and_frames_are_what_was_written(self):
        split = self.dataset["train"]
        self.assertEqual((len(split), split.n_steps, list(split.lengths)), (len(LENGTHS), sum(LENGTHS), LENGTHS))
        for number, episode in enumerate(split):
            self.check_episode(episode, number)
        for number, episode in enumerate(self.node.datasets.stream("pictures")):
            self.check_episode(episode, number)
        for step in self.node.datasets.stream("pictures", unit="step", shuffle=True):
            self.assertEqual(step["rgb"].shape, (*SIZE, 3))
            self.check_frame(step["rgb"], step["depth"], step.index, step.step)
            self.assertEqual(bool(step.valid["reward"]), not self.data.is_null(step.index)[step.step])
        frame = split.frame(2, -1, fields=["rgb", "depth"])
        self.assertEqual((list(frame), frame.step), (["rgb", "depth"], LENGTHS[2] - 1))
        self.check_frame(frame["rgb"], frame["depth"], 2, LENGTHS[2] - 1)
        with self.assertRaises(IndexError):
            split[len(LENGTHS)]
        with self.assertRaises(IndexError):
            split.frame(1, 1)

    def test_arrays_are_the_callers_own(self):
        stream = self.node.datasets.stream("pictures", unit="step")
        first, second = next(stream), next(stream)
        for name, array in first.items():
            if isinstance(array, np.ndarray):
                self.assertTrue(array.flags.writeable and array.flags.c_contiguous, name)
                self.assertFalse(np.shares_memory(array, second[name]), name)
        before = second["rgb"].copy()
        first["rgb"][:] = 0
        np.testing.assert_array_equal(second["rgb"], before)
        episode = self.dataset["train"][0]
        self.assertTrue(all(it.flags.writeable for it in episode.values() if isinstance(it, np.ndarray)))

    def test_layouts_and_sizes(self):
        chw = next(self.node.datasets.stream("pictures", unit="step", layout="chw", window={"rgb": [0, 1]}))
        self.assertEqual((chw["rgb"].shape, chw["depth"].shape), ((2, 3, *SIZE), (1, *SIZE)))
        self.assertTrue(chw["rgb"].flags.c_contiguous)
        np.testing.assert_array_equal(chw["rgb"].transpose(0, 2, 3, 1)[0], self.dataset["train"][0]["rgb"][0])
        for height, width in ((24, 32), (17, 101), (96, 128)):
            size = {"rgb": (height, width), "depth": (height, width)}
            truth = PIL.Image.fromarray(picture(0, 0, SIZE)).resize((width, height), PIL.Image.Resampling.BILINEAR)
            episodes = [next(self.node.datasets.stream("pictures", resize=size)), self.dataset["train"].episode(0, resize=size)]
            for episode in [*episodes, self.dataset.steps("train", resize=size)]:
                step = episode[0] if not isinstance(episode, nodedata.Episode) else None
                rgb = step["rgb"] if step is not None else episode["rgb"][0]
                distance = step["depth"] if step is not None else episode["depth"][0]
                self.assertEqual((rgb.shape, distance.shape), ((height, width, 3), (height, width)))
                # Both are at most 1 from exact arithmetic.
                self.assertLessEqual(np.abs(rgb.astype(int) - np.asarray(truth)).max(), 2)
                self.assertLessEqual(set(distance.reshape(-1)), set(depth(0, 0, SIZE).reshape(-1)), "no distance is made up")

    def test_channels_first_is_the_same_pixels_everywhere(self):
        """Of streams, of map-style steps and of whole episodes, resized and from the cache; arrays are the caller's own."""
        for options in ({}, {"resize": {"rgb": (17, 31)}}, {"decoded_cache": "64MiB"}, {"window": {"rgb": [-1, 0, 1], "depth": [0]}}):
            for unit in ("step", "episode"):
                if unit == "episode" and "window" in options:
                    continue
                expected, found = (list(self.node.datasets.stream("pictures", unit=unit, layout=it, **options)) for it in ("hwc", "chw"))
                self.assertEqual(len(found), sum(LENGTHS) if unit == "step" else len(LENGTHS))
                self.check_layout(found, expected)
            map_style = {name: it for name, it in options.items() if name != "decoded_cache"}
            steps = [self.dataset.steps("train", layout=it, **map_style)[:] for it in ("hwc", "chw")]
            self.check_layout(steps[1], steps[0])
        stream = self.node.datasets.stream("pictures", unit="step", shuffle=True)
        begun = [next(stream) for _ in range(5)]
        other = self.node.datasets.stream("pictures", unit="step", shuffle=True, layout="chw")
        other.load_state_dict(stream.state_dict())
        self.assertEqual(len(begun) + len(list(other)), sum(LENGTHS), "a state goes on in either layout")

    def check_layout(self, found, expected):
        before = None
        for first, last in zip(found, expected, strict=True):
            np.testing.assert_array_equal(first["rgb"], np.moveaxis(last["rgb"], -1, -3))
            np.testing.assert_array_equal(first["depth"], last["depth"][..., np.newaxis, :, :])
            np.testing.assert_array_equal(first["state"], last["state"])
            for name in ("rgb", "depth"):
                self.assertTrue(first[name].flags.c_contiguous and first[name].flags.writeable, name)
                self.assertFalse(before is not None and np.shares_memory(first[name], before[name]), name)
            before = first

    def test_decoded_pictures_are_kept_for_later_epochs(self):
        options = {"unit": "step", "shuffle": True, "resize": {"rgb": (24, 32)}}
        expected = {(it.key, it.step): it for it in self.node.datasets.stream("pictures", **options)}
        kept = scratch() / "cache" / "nodedata" / "decoded"
        self.assertFalse(kept.exists(), "off unless it is asked for")
        stream = self.node.datasets.stream("pictures", decoded_cache="64MiB", **options)
        for _ in range(3):
            for sample in stream:
                for name in ("rgb", "depth"):
                    np.testing.assert_array_equal(sample[name], expected[sample.key, sample.step][name])
        self.assertGreater(sum(it.stat().st_size for it in kept.rglob("*") if it.is_file()), 0)

    def test_coded_bytes_come_as_they_are(self):
        step = next(self.node.datasets.stream("pictures", unit="step", fields={"rgb": "bytes", "state": "decoded"}))
        self.assertIsInstance(step["rgb"], bytes)
        rgb = decoded(step["rgb"])
        self.assertEqual((rgb.shape, list(step)), ((*SIZE, 3), ["rgb", "state"]))
        episode = self.dataset["train"].episode(0, fields={"depth": "bytes"})
        np.testing.assert_array_equal(decoded(episode["depth"][1]).astype(np.uint16), depth(0, 1, SIZE))

    def test_a_revision_tells_what_it_is(self):
        dataset = self.dataset
        self.assertEqual((dataset.id, dataset.revision, dataset.splits), ("acme/pictures", "1.0.0", ["train"]))
        self.assertEqual(dataset.schema["fields"]["state"]["shape"], [-1, 7])
        self.assertEqual({it["path"] for it in dataset.files()} >= {"schema.json"}, True)
        self.assertEqual(self.node.datasets.list()[0]["dataset"], "acme/pictures")
        self.assertEqual(len(self.node.datasets.log("pictures")), 1)
        table = pa.table(dataset.episodes("train"))
        self.assertEqual(table.num_rows, len(LENGTHS))
        self.assertEqual(list(dataset.stats), [], "shards of others are not measured")
        with self.assertRaises(nodedata.ConfigError) as caught:
            dataset.stats.normalize("action")
        self.assertIn("convert", caught.exception.hint)

    def test_a_share_of_the_bytes_is_verified(self):
        dataset = self.dataset
        whole, none, some = dataset.verify(), dataset.verify(sample=0), dataset.verify(sample=0.1, seed=3)
        self.assertEqual([it["sound"] for it in (whole, none, some)], [True] * 3)
        self.assertEqual((whole["bytes"], none["bytes"], none["total_bytes"]), (whole["total_bytes"], 0, whole["total_bytes"]))
        self.assertTrue(0 < some["bytes"] <= some["total_bytes"] == whole["total_bytes"])
        self.assertEqual((whole["episodes"], some["episodes"], none["episodes"]), (len(LENGTHS), 0, 0), "rows are read with all bytes alone")
        self.assertEqual(self.node.datasets.verify("pictures", 0.1, seed=3), some)
        for sample in (-0.1, 1.5, float("nan")):
            with self.assertRaises(nodedata.ConfigError) as caught:
                dataset.verify(sample=sample)
            self.assertIn("from 0", caught.exception.hint)
        with self.assertRaises(nodedata.ConfigError):
            dataset.verify(sample=0.5, seed=-1)

    def test_a_flipped_byte_of_a_drawn_grain_is_found(self):
        node, folder = published("sampled", Set([40], (120, 160), pictures=noise))
        dataset = node.datasets.open("sampled")
        shard = next(it for it in dataset.files() if it["path"].endswith(".parquet") and it["bytes"] > 1 << 20)
        digest = shard["b3"].removeprefix("b3:")
        blob = next(it for it in (folder / "store").rglob(digest) if it.is_file())
        sound = blob.read_bytes()
        blob.unlink()
        blob.write_bytes(sound[:70_000] + bytes([sound[70_000] ^ 1]) + sound[70_001:])
        self.assertTrue(dataset.verify(sample=0)["sound"], "no byte is read")
        found = [dataset.verify(sample=0.4, seed=seed) for seed in range(64)]
        told = {it["code"] for each in found for it in each["findings"]}
        self.assertEqual((told, {it["sound"] for it in found}), ({"damaged-blob"}, {True, False}))
        self.assertTrue(all(it["bytes"] < 0.8 * it["total_bytes"] for it in found), "no more is read than is drawn")

    def test_other_libraries_read_it(self):
        self.assertEqual(self.dataset.arrow("train").count_rows(), sum(LENGTHS))
        connection = duckdb.connect()
        self.assertEqual(self.dataset.duckdb(connection), ["train"])
        self.assertEqual(connection.sql('select count(*), max("count") from train').fetchall(), [(sum(LENGTHS), max(LENGTHS) - 4)])
        report = self.dataset.pull(self.folder / "pulled")
        self.assertEqual(report["revision"], "1.0.0")
        folder = nodedata.open_folder(self.folder / "pulled")
        for number, episode in enumerate(folder["train"]):
            np.testing.assert_array_equal(episode["rgb"], self.dataset["train"][number]["rgb"])
        self.assertTrue(nodedata.validate(self.folder / "pulled", deep=True))


class Jpegs(Case):
    CODING = "jpeg"

    def test_pictures_are_those_that_pillow_decodes(self):
        for number, episode in enumerate(self.dataset["train"]):
            self.check_episode(episode, number)
            coded = self.dataset["train"].episode(number, fields={"rgb": "bytes"})["rgb"]
            for step, blob in enumerate(coded):
                # Two decoders: the inverse transform and the colours round on their own.
                self.assertLessEqual(np.abs(episode["rgb"][step].astype(int) - decoded(blob)).max(), 4)


class WithoutPageIndex(Case):
    OPTIONS = {"write_page_index": False, "row_group_size": 3, "compression": "zstd"}

    def test_shards_of_pyarrows_own_defaults_are_read_as_well(self):
        for number, episode in enumerate(self.dataset["train"]):
            self.check_episode(episode, number)
        for step in self.node.datasets.stream("pictures", unit="step", shuffle=True):
            self.check_frame(step["rgb"], step["depth"], step.index, step.step)


class Revisions(unittest.TestCase):
    def test_uploads_add_and_replace_and_a_stream_stays_at_its_revision(self):
        node, folder = published("grown", Set([3, 4]))
        before = node.datasets.open("grown")
        more = Set([5], first=2)
        more.write(folder / "more")
        done = node.datasets.upload("grown", files=[folder / "more/shards"])
        self.assertEqual((done.unchanged, done.revision), (False, "1.1.0"))
        self.assertGreater(done.sent_bytes, 0)
        self.assertEqual((before.revision, len(before["train"])), ("1.0.0", 2))
        after = node.datasets.open("grown")
        self.assertEqual((after.revision, len(after["train"])), ("1.1.0", 3))
        self.assertEqual(len(node.datasets.open("grown", revision="1.0.0")["train"]), 2)
        again = node.datasets.upload("grown", files=[folder / "more/shards"])
        self.assertEqual((again.unchanged, again.revision, again.sent_bytes), (True, "1.1.0", 0))
        self.assertIn("1.0.0", json.dumps(after.diff("1.0.0")))
        replaced = node.datasets.upload("grown", files=[folder / "more/shards"], mode="replace")
        self.assertEqual(replaced.revision, "2.0.0")
        self.assertEqual([it.key for it in node.datasets.stream("grown")], ["2"])

    def test_facts_of_creation_are_kept_and_held_against(self):
        node, folder = published("facts", Set([2]))
        facts = {"modality": ["proprioception"], "license": "MIT", "price_usd": 199.5, "tags": ["a", "b"], "pii": ["pseudonymous"]}
        made = node.datasets.create("fresh", **facts)
        self.assertEqual(made.id, "acme/fresh")
        self.assertEqual(node.datasets.create("fresh", **facts, exist_ok=True), made)
        with self.assertRaises(nodedata.ConflictError):
            node.datasets.create("fresh", **facts)
        with self.assertRaises(nodedata.ConflictError):
            node.datasets.create("fresh", **(facts | {"license": "CC-BY-4.0"}), exist_ok=True)
        node.datasets.upload("fresh", files=[folder / "facts/shards"])
        manifest = node.datasets.show("fresh")["revision"]
        self.assertEqual((manifest["license"], manifest["modality"], manifest["tags"]), ("MIT", ["proprioception"], ["a", "b"]))

    def test_a_withdrawn_revision_warns_and_a_tag_names_one(self):
        node, _ = published("withdrawn", Set([2]))
        node.datasets.tag("withdrawn", "1.0.0", "best")
        self.assertEqual(node.datasets.open("withdrawn@best").revision, "1.0.0")
        node.datasets.withdraw("withdrawn@1.0.0", "the gripper was miscalibrated")
        with self.assertWarns(nodedata.WithdrawnRevisionWarning):
            node.datasets.open("withdrawn@1.0.0")

    def test_progress_is_told_and_stops_an_upload(self):
        node, folder = published("told", Set([2]))
        Set([40] * 40, first=2).write(folder / "large", per_shard=1)
        heard = []
        with self.assertRaises(nodedata.InterruptedRun):
            node.datasets.upload("told", files=[folder / "large/shards"], progress=lambda it: heard.append(it) or False)
        self.assertEqual(node.datasets.open("told").revision, "1.0.0")
        heard.clear()
        # Small shards go together: those of before may all have been sent when it was stopped.
        Set([40] * 40, first=42).write(folder / "others", per_shard=1)
        node.datasets.upload("told", files=[folder / "others/shards"], progress=heard.append)
        self.assertTrue(heard and heard[-1]["done_bytes"] > 0, heard[-1:])


    @unittest.skipUnless("NODEDATA_BINARY" in os.environ, "NODEDATA_BINARY is not set: run `cargo xtask test`")
    def test_episodes_that_a_revision_excludes_are_not_read(self):
        node, folder = published("left-out", Set([3, 4, 5]))
        command = [os.environ["NODEDATA_BINARY"], "dataset", "push", "--name", "acme/left-out", "--exclude", "1", "--store", str(folder / "store")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(folder, NODEDATA_USER="acme"))
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        dataset = node.datasets.open("left-out")
        self.assertEqual([it.key for it in node.datasets.stream(dataset)], ["0", "2"])
        self.assertEqual([(it.key, it.index) for it in dataset["train"]], [("0", 0), ("2", 2)])
        self.assertEqual((len(dataset["train"]), len(dataset.steps("train", fields=["state"]))), (2, 8))
        self.assertEqual(len(node.datasets.open("left-out", revision="1.0.0")["train"]), 3)


class Converted(unittest.TestCase):
    """Sets that our own tool made."""

    def convert(self, source, **options):
        out = scratch() / "dataset"
        report = nodedata.convert(source, out, **options)
        self.assertIsInstance(report, dict)
        return nodedata.open_folder(out)

    def test_lerobot_sets_hold_what_its_own_reader_reads(self):
        for name, (folder, truth) in lerobot_sets().items():
            split = self.convert(folder)["train"]
            self.assertEqual(list(split.lengths), [it["length"] for it in truth["episodes"]], name)
            for told in truth["episodes"]:
                episode = split[told["episode_index"]]
                self.assertEqual(digest(episode["observation.state"]), told["state_sha256"], name)
                self.assertEqual(list(dict.fromkeys(episode["task"])), told["tasks_in_order"])
                for step, item in ((0, told["first"]), (-1, told["last"])):
                    for camera in (it for it in item if it.startswith("observation.images.")):
                        frame, expected = episode[camera][step], item[camera]
                        self.assertEqual(list(frame.shape), expected["shape"])
                        if name.endswith("_image"):
                            self.assertEqual(digest(frame), expected["sha256"])
                        # Colours of video are converted by another rule than that of FFmpeg.
                        self.assertLess(abs(frame.mean() - expected["mean"]), 2, f"{name} {camera}")
                        self.assertLess(np.abs(frame.reshape(-1)[:6].astype(int) - expected["corner"]).max(), 12)

    def test_each_frame_of_a_video_is_its_own(self):
        """Frames read one by one, backwards, in windows and in whole episodes are the same ones."""
        for name, (folder, truth) in lerobot_sets().items():
            camera = "observation.images.front"
            if truth["features"].get(camera, {}).get("dtype") != "video":
                continue
            dataset = self.convert(folder)
            split = dataset["train"]
            for number in range(len(split)):
                whole = split.episode(number, fields=[camera])[camera]
                self.assertGreater(len({it.tobytes() for it in whole}), len(whole) // 2)
                for step in reversed(range(len(whole))):
                    np.testing.assert_array_equal(split.frame(number, step, fields=[camera])[camera], whole[step])
            stream = NodeData().datasets.stream(dataset, unit="step", fields=[camera], window={camera: [-2, 0, 1]}, shuffle=True)
            for sample in stream:
                whole = split.episode(sample.index, fields=[camera])[camera]
                at = np.clip(np.array([-2, 0, 1]) + sample.step, 0, len(whole) - 1)
                np.testing.assert_array_equal(sample[camera], whole[at])

    def test_statistics_normalise_as_lerobot_does(self):
        dataset = self.convert(FIXTURES / "lerobot" / "v30_image")
        episodes = [it["action"] for it in dataset["train"]]
        actions = np.concatenate(episodes).astype(np.float64)
        mean = dataset.stats["steps"]["action"]["per_element"]["mean"]
        np.testing.assert_allclose(mean, actions.mean(axis=0), rtol=1e-6)
        low, high = (np.quantile(actions, it, axis=0) for it in (0.01, 0.99))
        least, most = actions.min(axis=0), actions.max(axis=0)
        expected = {
            "mean_std": lambda it: (it - actions.mean(axis=0)) / (actions.std(axis=0) + 1e-8),
            "min_max": lambda it: 2 * (it - least) / (most - least) - 1,
            "quantile": lambda it: 2 * (it - low) / (high - low) - 1,
        }
        for method, formula in expected.items():
            stream = NodeData().datasets.stream(dataset, fields=["action"]).normalize("action", method)
            found = list(stream)[2]["action"]
            self.assertEqual(found.dtype, np.float32)
            np.testing.assert_allclose(found, formula(episodes[2]), rtol=1e-4, atol=1e-4)
            normalizer = dataset.stats.normalize("action", method)
            np.testing.assert_allclose(normalizer.inverse(normalizer(episodes[2])), episodes[2], rtol=1e-4, atol=1e-5)

    def test_each_source_of_a_mixture_has_its_own_statistics(self):
        sets = [self.convert(FIXTURES / "lerobot" / it) for it in ("v30_image", "v21_simple")]
        datasets = NodeData().datasets
        streams = [(datasets.stream(it, unit="step", fields=["action"]), 0.5) for it in sets]
        normalizers = [it.stats.normalize("action", "min_max") for it in sets]
        for sample in nodedata.mix(streams, stop=60).normalize("action", "min_max"):
            raw = sets[sample.source]["train"].frame(sample.index, sample.step, fields=["action"])["action"]
            np.testing.assert_array_equal(sample["action"], normalizers[sample.source](raw))

    def test_the_rate_is_what_the_times_keep_to(self):
        self.assertEqual(self.convert(FIXTURES / "lerobot" / "v30_image")["train"].fps, 10)
        log = self.convert(FIXTURES / "mcap" / "teleop.mcap")
        self.assertIsNone(log.split("train", "/joint_states").fps)
        steps = self.convert(FIXTURES / "mcap" / "teleop.mcap", rate=29.97)
        self.assertEqual(steps["train"].fps, 29.97)

    def test_topics_of_a_log_are_streams(self):
        dataset = self.convert(FIXTURES / "mcap" / "teleop.mcap")
        self.assertGreater(len(dataset.streams), 1)
        self.assertIn("/joint_states", dataset.streams)
        split = dataset.split("train", "/joint_states")
        episode = split[0]
        self.assertEqual(len(episode["log_time_ns"]), split.n_steps)
        self.assertTrue((np.diff(episode["log_time_ns"]) >= 0).all())
        camera = next(it for it in dataset.streams if "camera" in it and dataset.split("train", it).features[-1])
        self.assertEqual(len(list(dataset.split("train", camera))), 1)

    def test_inspect_and_run_report_as_dicts(self):
        found = nodedata.inspect(FIXTURES / "mcap" / "teleop.mcap")
        self.assertIn("streams", json.dumps(found))
        folder = scratch()
        pipeline = folder / "pipeline.yaml"
        pipeline.write_text(
            f"version: 1\nsource: {{path: {FIXTURES / 'lerobot' / 'v30_image'}}}\nsteps: {{clock: {{rate_hz: 10}}}}\n"
            f"fields: {{state: observation.state}}\nsplits: {{by: source}}\nout: {folder / 'out'}\n"
        )
        heard = []
        report = nodedata.run(pipeline, progress=heard.append)
        self.assertIsInstance(report, dict)
        self.assertEqual(nodedata.open_folder(folder / "out")["train"].n_steps, 36)
        self.assertTrue(nodedata.build_info()["version"])
        plan = nodedata.run(pipeline, out=folder / "other", dry_run=True)
        self.assertEqual((plan["nd"], (folder / "other").exists()), ("outline/1", False))
        nodedata.run(pipeline, out=folder / "other", threads=1)
        self.assertEqual(nodedata.open_folder(folder / "other")["train"].n_steps, 36)
        with self.assertRaises(nodedata.ConfigError) as caught:
            nodedata.run(pipeline, treads=1)
        self.assertIn("did you mean `threads`?", str(caught.exception))

    def test_checks_and_pulls_are_told(self):
        out = scratch() / "dataset"
        nodedata.convert(FIXTURES / "lerobot" / "v30_image", out)
        heard = []
        self.assertTrue(nodedata.validate(out, deep=True, progress=heard.append)["sound"])
        self.assertTrue(heard)
        node, _ = published("pulled", Set([40] * 40), per_shard=1)
        for pull in (node.datasets.open("pulled").pull, lambda *it, **how: node.datasets.pull("pulled", *it, **how)):
            heard.clear()
            out = scratch() / "pulled"
            pull(out, progress=heard.append)
            self.assertTrue(heard and heard[-1]["done_bytes"] > 0, heard[-1:])


if __name__ == "__main__":
    unittest.main()
