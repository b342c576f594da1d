//! Tables of a revision are bytes of whoever publishes it: the server reads them, and lives.

use std::sync::Arc;

use nodedata_core::Silent;
use nodedata_registry::{
    DatasetName, DatasetState, NewDataset, PushOptions, Remote, blob_of, create, push, put_blob,
    record::{CommitRecord, RevisionManifest},
};
use nodedata_testkit::registry::{ShardSpec, write_shard};

use crate::{
    bump::{Change, Untrue},
    site::Site,
};

/// A file of a few bytes whose schema says that it has 2^31 - 1 columns: the Parquet reader would make room for all of them.
fn bomb() -> Vec<u8> {
    // Version 2; two elements, the first with 2^31 - 1 children, the second a column.
    let mut footer = vec![0x15, 0x04, 0x19, 0x2c];
    footer.extend([0x48, 1, b'm', 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0]);
    footer.extend([0x48, 1, b'c', 0, 0]);
    let mut bytes = b"PAR1".to_vec();
    bytes.extend(&footer);
    bytes.extend((footer.len() as u32).to_le_bytes());
    bytes.extend(b"PAR1");
    bytes
}

#[test]
fn a_table_that_would_end_the_server_is_refused() {
    let site = Site::new();
    let token = site.token("kit", &["publish:kit/*", "read"]);
    let honest = site.shared(Some(&token));
    let folder = tempfile::tempdir().unwrap();
    let spec = ShardSpec { first_episode: 0, n_episodes: 2, n_steps: 9, seed: 1 };
    write_shard(&folder.path().join("train-0.parquet"), &spec);
    let dataset: DatasetName = "kit/x".parse().unwrap();
    create(&*honest, &NewDataset::new(dataset.clone(), "kit")).unwrap();
    put_blob(&*honest, &dataset, bomb()).unwrap();
    let options = PushOptions::new(dataset.clone(), vec![folder.path().to_owned()], "kit");
    let cases: [(&str, Change); 3] = [
        ("episodes", |_: &mut CommitRecord, manifest: &mut RevisionManifest| {
            manifest.index.get_mut("episodes").unwrap().blob = blob_of(&bomb());
        }),
        ("contents", |_, manifest| {
            let mut table = manifest.index["episodes"].clone();
            (table.path, table.blob) = ("index/contents.parquet".to_owned(), blob_of(&bomb()));
            manifest.index.insert("contents".to_owned(), table);
        }),
        ("shards", |_, manifest| {
            manifest.shards.clear();
            manifest.shard_table = Some(blob_of(&bomb()));
        }),
    ];
    let sent = Arc::default();
    for (what, change) in cases {
        let untrue: Arc<dyn Remote> =
            Arc::new(Untrue { inner: Arc::clone(&honest), change, sent: Arc::clone(&sent) });
        let err = push(&untrue, &options, &Silent).map(drop).unwrap_err();
        assert!(err.chain().contains("more groups and columns than a table has"), "{what}: {}", err.chain());
        let state = DatasetState::open(&*honest, &dataset).unwrap();
        assert!(state.revisions.is_empty(), "{what}: nothing was published");
    }
    push(&honest, &options, &Silent).unwrap();
    assert_eq!(DatasetState::open(&*honest, &dataset).unwrap().revisions.len(), 1);
}
