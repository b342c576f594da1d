//! WebDataset from end to end.

use arrow_array::{Array as _, cast::AsArray as _};
use nodedata_testkit::corpus;

use crate::{
    command::Work,
    tables::{Dataset, int64, texts},
};

fn fixture(name: &str) -> String {
    corpus::fixtures("webdataset").join(name).display().to_string()
}

#[test]
fn archives_become_a_table_of_samples() {
    let work = Work::new();
    let (train, val) = (fixture("train-000000.tar"), fixture("val-000000.tar"));
    let ran = work.run(["convert", &train, &val, "--out", "out"]).exits(0);
    assert_eq!(ran.stderr, "");
    work.run(["validate", "--deep", "out"]).exits(0);
    let manifest = work.json("out/manifest.json").to_string();
    assert!(manifest.contains("\"samples\""), "{manifest}");
    let dataset = Dataset::open(work.path("out"));
    let index = dataset.table("index/episodes.parquet");
    let column = |name: &str| texts(&index, name).into_iter().flatten().collect::<Vec<String>>();
    assert_eq!(column("episode_key"), ["train-000000.tar", "val-000000.tar"]);
    assert_eq!(column("split"), ["train", "val"]);
    let rows = dataset.tables().remove("steps").unwrap();
    let keys: Vec<String> = texts(&rows, "__key__").into_iter().flatten().collect();
    assert_eq!((keys.len(), keys[0].as_str(), keys[15].as_str()), (16, "v1.0/000000", "v1.0/000015"));
    assert!(keys[2].starts_with("v1.0/ümläut-xxx"), "{}", keys[2]);
    assert_eq!(int64(&rows, "cls"), (0..16).map(|it| it % 3).collect::<Vec<i64>>());
    assert_eq!(texts(&rows, "json.scene")[15].as_deref(), Some("scene-3"));
    assert_eq!(rows.column_by_name("note.txt").unwrap().null_count(), 12);
    let pictures = rows.column_by_name("camera.png").unwrap().as_struct().column(0).clone();
    assert!(pictures.as_binary::<i32>().iter().all(|it| it.unwrap().starts_with(b"\x89PNG")));
    // A camera of the sort that readers show.
    let schema = work.json("out/schema.json").to_string();
    assert!(schema.contains("\"encoding\":\"png\""), "{schema}");
}

#[test]
fn samples_are_dealt_to_splits_by_their_keys() {
    let work = Work::new();
    let deal = |out: &str, sources: &[&str]| {
        let sources: Vec<String> = sources.iter().map(|it| fixture(it)).collect();
        let args = ["convert"].into_iter().chain(sources.iter().map(String::as_str));
        let args: Vec<&str> = args.chain(["--out", out, "--split", "train=.6,val=.4"]).collect();
        work.run(&args).exits(0);
        work.run(["validate", "--deep", out]).exits(0);
        let dataset = Dataset::open(work.path(out));
        let shards = dataset.manifest["shards"].as_array().unwrap().clone();
        let val: Vec<String> = shards
            .iter()
            .filter(|it| it["split"] == "val")
            .flat_map(|it| texts(&dataset.table(it["path"].as_str().unwrap()), "__key__"))
            .flatten()
            .collect();
        (val, dataset.tables()["steps"].num_rows())
    };
    let (few, n_few) = deal("few", &["train-000000.tar"]);
    let (more, n_more) = deal("more", &["train-000000.tar", "val-000000.tar"]);
    assert_eq!((n_few, n_more), (12, 16));
    assert!(!few.is_empty() && few.len() < 12, "{few:?}");
    // Adding a shard moves no row.
    assert_eq!(more.iter().filter(|it| few.contains(it)).count(), few.len());
    assert!(more.iter().filter(|it| !few.contains(it)).all(|it| "v1.0/000012" <= it.as_str()), "{more:?}");
}

/// A member of a tar archive.
pub(crate) fn member(name: &str, contents: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..136].copy_from_slice(format!("{:011o}\0", contents.len()).as_bytes());
    block[156] = b'0';
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|it| u32::from(*it)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.extend_from_slice(contents);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

/// In a wrapping of gzip, as it is.
fn gzip(contents: &[u8]) -> Vec<u8> {
    let mut out = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    for block in contents.chunks(usize::from(u16::MAX)) {
        let n = block.len() as u16;
        out.push(0);
        out.extend([n.to_le_bytes(), (!n).to_le_bytes()].concat());
        out.extend_from_slice(block);
    }
    // A last block without a byte.
    out.extend(b"\x01\0\0\xff\xff");
    out.extend(crc_fast::crc32_iso_hdlc(contents).to_le_bytes());
    out.extend((contents.len() as u32).to_le_bytes());
    out
}

/// All partitions of a packed file read all of it, and their units are several all the same.
#[test]
fn packed_archives_become_several_shards() {
    let work = Work::new();
    let sample = |it: u8| member(&format!("{it:02}.bin"), &vec![it; 1_000_000]);
    let archive: Vec<u8> = (0..12).flat_map(sample).chain([0; 1024]).collect();
    work.write("plain.tar", &archive);
    work.write("packed.tar.gz", gzip(&archive));
    let mut found = Vec::new();
    for source in ["plain.tar", "packed.tar.gz"] {
        let out = format!("{source}.out");
        work.run(["convert", source, "--out", &out, "--shard-mb", "2"]).exits(0);
        work.run(["validate", "--deep", &out]).exits(0);
        let dataset = Dataset::open(work.path(&out));
        assert!(2 < dataset.manifest["shards"].as_array().unwrap().len(), "{source}");
        let rows = dataset.tables().remove("steps").unwrap();
        let contents = rows.column_by_name("bin").unwrap().as_binary::<i32>();
        let firsts: Vec<u8> = contents.iter().map(|it| it.unwrap()[999_999]).collect();
        found.push((texts(&rows, "__key__"), firsts));
    }
    assert_eq!(found[0].1, (0..12).collect::<Vec<u8>>());
    assert_eq!(found[0], found[1]);
}

#[test]
fn broken_samples_are_refused_or_left_out_and_counted() {
    let work = Work::new();
    let broken = fixture("broken.tar");
    let refused = work.run(["convert", &broken, "--out", "no"]).exits(1);
    assert!(refused.stderr.contains("the member `json` cannot be read"), "{}", refused.stderr);
    work.run(["convert", &broken, "--out", "out", "--on-error", "salvage"]).exits(3);
    work.run(["validate", "--deep", "out"]).exits(0);
    let rows = Dataset::open(work.path("out")).tables().remove("steps").unwrap();
    assert_eq!(int64(&rows, "step_index"), [0, 2, 4]);
    let report = work.json("out/report.json");
    assert_eq!(report["streams"]["steps"]["written"], 3);
    assert_eq!(report["streams"]["steps"]["read"], 5);
}

/// What is packed is the same samples, and clips of sound are media.
#[test]
fn corpus_shards_convert() {
    let Some(folder) = corpus::folder("episodes/webdataset") else { return };
    let work = Work::new();
    for (name, rows) in [("frames", 36), ("frames_gz", 11)] {
        let source = folder.join(name).display().to_string();
        let ran = work.run(["convert", &source, "--out", name]).exits(0);
        assert_eq!(ran.stderr, "", "{name}");
        let validated = work.run(["validate", "--deep", name, "--format", "json"]).exits(0).json();
        assert_eq!(validated["rows"], rows, "{name}");
        let schema = work.json(&format!("{name}/schema.json")).to_string();
        assert!(schema.contains("\"encoding\":\"flac\""), "{schema}");
        work.run(["inspect", &source]).exits(0);
    }
}

/// An archive of members.
fn archive(work: &Work, path: &str, members: &[(&str, Vec<u8>)]) {
    let members = members.iter().flat_map(|(name, contents)| member(name, contents));
    work.write(path, members.chain([0; 1024]).collect::<Vec<u8>>());
}

/// Videos are media by how they begin, and show as such; beside them clips of sound do not.
#[test]
fn videos_show_as_such() {
    let work = Work::new();
    let video = |name: &str| std::fs::read(corpus::fixtures("video").join(name)).unwrap();
    let (one, other) = (video("h264_gray.mp4"), video("hevc_bt709_full.mp4"));
    // What it is called is no matter, nor that it says of itself that it is sound alone.
    let sound = b"\0\0\0\x10ftypM4A \0\0\0\0".to_vec();
    let members = [("a.mp4", one.clone()), ("a.take", other.clone()), ("a.m4a", sound.clone())];
    let members = members.into_iter().chain([("b.mp4", other), ("b.take", one.clone()), ("b.m4a", sound)]);
    archive(&work, "a.tar", &members.collect::<Vec<_>>());
    let ran = work.run(["convert", "a.tar", "--out", "out"]).exits(0);
    assert_eq!(ran.stderr, "");
    work.run(["validate", "--deep", "out"]).exits(0);
    let rows = Dataset::open(work.path("out")).tables().remove("steps").unwrap();
    let told: serde_json::Value = serde_json::from_str(&rows.schema().metadata()["huggingface"]).unwrap();
    for (name, shown, encoding) in
        [("mp4", "Video", "mp4"), ("take", "Video", "mp4"), ("m4a", "Audio", "m4a")]
    {
        assert_eq!(told["info"]["features"][name], serde_json::json!({"_type": shown}), "{name}");
        assert_eq!(work.json("out/schema.json")["fields"][name]["encoding"], encoding, "{name}");
    }
    let bytes = rows.column_by_name("mp4").unwrap().as_struct().column(0).clone();
    assert_eq!(bytes.as_binary::<i32>().value(0), one);
    // Where one of them is none of it, the column is bytes.
    archive(&work, "b.tar", &[("a.mp4", one), ("b.mp4", b"no video".to_vec())]);
    work.run(["convert", "b.tar", "--out", "mixed"]).exits(0);
    let rows = Dataset::open(work.path("mixed")).tables().remove("steps").unwrap();
    let told: serde_json::Value = serde_json::from_str(&rows.schema().metadata()["huggingface"]).unwrap();
    assert_eq!(told["info"]["features"]["mp4"]["bytes"]["dtype"], "binary");
}

/// The MD5 that an index of shards tells is compared on request.
#[test]
fn archives_are_held_against_their_index_on_request() {
    let work = Work::new();
    archive(&work, "set/a.tar", &[("a.txt", b"one".to_vec())]);
    let wrong = "0123456789abcdef0123456789abcdef";
    let index = format!(
        r#"{{"__kind__": "wids-shard-index-v1", "shardlist": [{{"url": "a.tar", "nsamples": 1, "md5sum": "{wrong}"}}]}}"#
    );
    work.write("set/index.json", index);
    work.run(["convert", "set", "--out", "out"]).exits(0);
    let asked = ["--set", "source.shard_md5=true"];
    let refused = work.run(["convert", "set", "--out", "no", asked[0], asked[1]]).exits(1).stderr;
    assert!(
        refused.contains("but the index of shards says 0123456789abcdef0123456789abcdef")
            && refused.contains("a.tar"),
        "{refused}"
    );
    work.run(["convert", "set", "--out", "kept", asked[0], asked[1], "--on-error", "salvage"]).exits(3);
    let damage = work.json("kept/report.json")["damage"].clone();
    assert_eq!(
        (damage.as_array().map(Vec::len), &damage[0]["reason"]),
        (Some(1), &"shard_md5".into()),
        "{damage}"
    );
    assert_eq!(work.json("kept/report.json")["streams"]["steps"]["written"], 1);
}
