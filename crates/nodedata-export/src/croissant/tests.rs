use nodedata_registry::{
    B3,
    record::{BlobRef, Price, SchemaRef, SplitRef},
};

use super::*;

fn blob(text: &str) -> BlobRef {
    BlobRef { b3: B3::of(text.as_bytes()), sha256: "ab".repeat(32), bytes: text.len() as u64 }
}

fn file(path: &str) -> FileRef {
    FileRef { path: path.to_owned(), blob: blob(path) }
}

fn shard(path: &str, stream: &str, split: &str) -> ShardRef {
    ShardRef {
        path: path.to_owned(),
        stream: stream.to_owned(),
        split: split.to_owned(),
        blob: blob(path),
        rows: 3,
        row_groups: 1,
        episodes: (0, 0),
        content: B3::of(b"c"),
        provenance: B3::of(b"p"),
    }
}

fn manifest() -> RevisionManifest {
    RevisionManifest {
        nd: "revision/1".to_owned(),
        dataset: "acme/panda-arm".parse().unwrap(),
        revision: "1.2.0".to_owned(),
        parents: vec![B3::of(b"parent")],
        content_root: B3::of(b"c"),
        provenance_root: B3::of(b"p"),
        title: Some("Panda {arm}".to_owned()),
        license: Some("CC-BY-4.0".to_owned()),
        price: Some(Price { amount: "199.00".to_owned(), currency: "USD".to_owned() }),
        modality: vec!["rgb".to_owned()],
        tags: vec!["panda".to_owned()],
        robot: BTreeMap::new(),
        readme: file("README.md"),
        schema: SchemaRef { mode: "declared".to_owned(), file: file("schema.json") },
        splits: [("train".to_owned(), SplitRef::default())].into(),
        index: [("episodes".to_owned(), file("index/episodes.parquet"))].into(),
        files: Vec::new(),
        shards: Vec::new(),
        shard_table: None,
        n_shards: 3,
        shard_bytes: 9,
        sensitivity: Sensitivity { class: DataClass::Biometric, ..Sensitivity::default() },
        use_terms: None,
        created_by: BTreeMap::new(),
    }
}

#[test]
fn a_revision_is_told_with_files_columns_and_splits() {
    let schema = r#"{"splits":["train"],"fields":{"action":{"type":"float32","shape":[-1,7],"unit":"rad"},"rgb":{"type":"uint8","shape":[-1,64,64,3],"encoding":"jpeg"},"stack":{"type":"uint8","shape":[-1,4,64,64,3],"lists":1,"encoding":"png"},"talk":{"type":"int16","shape":[-1,-1,1],"encoding":"flac","rate_hz":16000},"video":{"type":"bytes","shape":[-1],"encoding":"mp4"}},"streams":{}}"#;
    let schema = Schema::from_json(schema).unwrap();
    let shards = [
        shard("data/train-00000.parquet", "steps", "train"),
        shard("data/train-00001.parquet", "steps", "train"),
        shard("data/val-00000.parquet", "steps", "val"),
    ];
    let facts = CroissantFacts {
        published: "2026-11-23T10:00:00Z",
        base_url: None,
        dp_reports: &[],
        shards: &shards,
    };
    let readme = "---\ntags: [x]\n---\n\n# Title\n\nGrasping with a Panda.\n\nMore.\n";
    let found = croissant(&manifest(), &schema, readme, &facts);
    assert_eq!(found["description"], "Grasping with a Panda.");
    assert_eq!(found["license"], "https://spdx.org/licenses/CC-BY-4.0.html");
    assert_eq!(found["datePublished"], "2026-11-23");
    assert_eq!(found["rai:personalSensitiveInformation"][0], "Biometric data");
    let sets = found["recordSet"].as_array().unwrap();
    assert_eq!(sets.len(), 3);
    assert_eq!(sets[1]["field"][1]["arrayShape"], "7");
    assert_eq!(sets[1]["field"][1]["description"], "[rad]");
    assert_eq!(sets[1]["field"][2]["dataType"], "sc:ImageObject");
    assert_eq!(sets[1]["field"][2]["isArray"], Value::Null);
    assert_eq!(sets[1]["field"][3]["dataType"], "sc:ImageObject");
    assert_eq!(sets[1]["field"][3]["arrayShape"], "4");
    assert_eq!(sets[1]["field"][4]["dataType"], "sc:AudioObject");
    assert_eq!(sets[1]["field"][4]["isArray"], Value::Null);
    assert_eq!(sets[1]["field"][5]["dataType"], "sc:VideoObject");
    assert_eq!(sets[1]["field"][1]["source"]["fileSet"]["@id"], "files@steps@train");
    assert_eq!(sets[2]["field"][1]["source"]["fileObject"]["@id"], "data/val-00000.parquet");
    // Whatever is named is there.
    let files: Vec<&str> =
        found["distribution"].as_array().unwrap().iter().map(|it| it["@id"].as_str().unwrap()).collect();
    assert_eq!(files.len(), 3 + 1 + 2);
    for set in &sets[1..] {
        for field in set["field"].as_array().unwrap() {
            let source = &field["source"];
            let id = source["fileObject"]["@id"].as_str().or(source["fileSet"]["@id"].as_str()).unwrap();
            assert!(files.contains(&id), "{id}");
        }
    }
}

#[test]
fn identifiers_have_no_spaces_and_differ() {
    assert_eq!(id_of("data/train-0.parquet"), "data/train-0.parquet");
    assert_eq!(id_of("/a b/#1"), "~2f~a~20~b/~23~1");
    assert_ne!(id_of("a~20~b"), id_of("a b"));
}

#[test]
fn licences_that_are_no_single_identifier_stay_as_they_are() {
    assert_eq!(license_url("MIT OR Apache-2.0"), "MIT OR Apache-2.0");
    assert_eq!(license_url("LicenseRef-own"), "LicenseRef-own");
}

#[test]
fn episodes_that_were_withdrawn_are_named() {
    let plan = |manifest: &RevisionManifest| maintenance(manifest);
    let mut with = manifest();
    assert!(!plan(&with).contains("withdrawn and must not"));
    let keys: Vec<String> = (0..52).map(|it| it.to_string()).collect();
    with.splits.insert("val".to_owned(), SplitRef { exclude: keys, ..SplitRef::default() });
    let told = plan(&with);
    assert!(told.contains("52 episodes were withdrawn") && told.contains("`49` and 2 more."), "{told}");
    with.splits.insert("val".to_owned(), SplitRef { exclude: vec!["7".to_owned()], ..SplitRef::default() });
    let told = plan(&with);
    assert!(told.contains("1 episode was withdrawn") && told.ends_with("hold its rows: `7`."), "{told}");
}
