//! What a storm may do to a command, in the words of the command; and the store that is looked at afterwards.

use std::path::Path;

use nodedata_core::Silent;
use nodedata_registry::{
    B3, DatasetName, DatasetState, Depth, Direct, OpenStore, Operation, Store, StoreLocation, fsck,
};

/// Whether a command gave up on its server, or its server on it.
pub(super) fn is_broken_connection(stderr: &str) -> bool {
    let said = [
        "cannot reach the server",
        "the server did not answer",
        "did not answer within",
        "sent nothing for",
        "the body did not come to its end",
    ];
    said.iter().any(|it| stderr.contains(it))
}

/// Whether so many others published that a push did not get its turn.
pub(super) fn is_crowd(stderr: &str) -> bool {
    stderr.contains("other pushes came first")
}

/// A store in a folder.
pub(super) fn open(folder: &Path) -> Direct {
    let location = StoreLocation::Folder(folder.to_owned());
    Direct::new(Store::open(&location, &OpenStore { journal: None, create: true }).unwrap())
}

/// Reads all of a store, and fails for whatever is wrong with it.
#[track_caller]
pub(super) fn is_sound(direct: &Direct) {
    assert_eq!(fsck(direct, Depth::Full, &Silent).unwrap().flaws, []);
}

/// The state that a log adds up to, read from its beginning, once its records were seen to follow each other and to publish each
/// revision once; and the digests of the records that publish, by who wrote them.
#[track_caller]
pub(super) fn replayed(direct: &Direct, dataset: &DatasetName) -> (DatasetState, Vec<(String, B3)>) {
    use nodedata_registry::Remote as _;
    let log = direct.log(dataset, 0).unwrap();
    let mut before = None;
    for (seq, entry) in (0..).zip(&log) {
        assert_eq!((entry.record.seq, entry.record.prev), (seq, before), "{dataset}");
        assert_eq!(B3::of(&entry.record.to_bytes().unwrap()), entry.digest, "{dataset}, record {seq}");
        before = Some(entry.digest);
    }
    let published = log.iter().filter(|it| matches!(it.record.op, Operation::Publish { .. }));
    let published: Vec<(String, B3)> = published.map(|it| (it.record.author.clone(), it.digest)).collect();
    let state = DatasetState::replay(direct, dataset).unwrap();
    assert_eq!(state.revisions.len(), published.len(), "{dataset}");
    assert_eq!(state.next_seq, log.len() as u64, "{dataset}");
    (state, published)
}
