"""The datasets that the readers are shown, and the truth beside the logs they come from."""
import json
import os
import pathlib
import re


class ConvertedDataset:
    """One output folder of `node-data convert`, with what the official reader says of the log."""

    def __init__(self, folder, truth_path):
        self.folder = folder
        self.manifest = json.loads((folder / "manifest.json").read_text())
        self.truth = json.loads(truth_path.read_text())

    def streams(self):
        """Every stream with rows: (manifest entry, shard paths, truth of its topic or None when two share it)."""
        for stream in self.manifest["streams"]:
            if stream["rows"] == 0:
                continue
            yield stream, self.shards(stream["name"]), self.truth_of(stream)

    def shards(self, name):
        return [str(self.folder / shard["path"]) for shard in self.manifest["shards"] if shard["stream"] == name]

    def splits(self, name):
        return sorted({shard["split"] for shard in self.manifest["shards"] if shard["stream"] == name})

    def truth_of(self, stream):
        # One topic with two definitions is two streams, `/t` and `/t#<hash8>`.
        topic = re.sub(r"#[0-9a-f]{8}$", "", stream["name"])
        matches = [it for it in self.truth["topics"].values() if it["topic"] == topic]
        return matches[0] if len(matches) == 1 else None

    def rows_by_topic(self):
        """Rows per topic: what was converted, and what the official reader counts."""
        converted, wanted = {}, {}
        for stream in self.manifest["streams"]:
            topic = re.sub(r"#[0-9a-f]{8}$", "", stream["name"])
            converted[topic] = converted.get(topic, 0) + stream["rows"]
        for topic in self.truth["topics"].values():
            wanted[topic["topic"]] = wanted.get(topic["topic"], 0) + topic["count"]
        return {topic: n for topic, n in converted.items() if n > 0}, wanted


def all_datasets():
    """Every converted fixture, by name. Empty when the tests are not run by `cargo xtask test`."""
    if "NODEDATA_DATASETS" not in os.environ:
        return {}
    datasets = pathlib.Path(os.environ["NODEDATA_DATASETS"])
    fixtures = pathlib.Path(os.environ["NODEDATA_FIXTURES"])
    return {
        folder.name: ConvertedDataset(folder, fixtures / "mcap" / f"{folder.name}.truth.json")
        for folder in sorted(datasets.iterdir())
        if folder.is_dir()
    }
