use std::sync::{Arc, Mutex};

use nodedata_core::{ErrorKind, Silent};
use nodedata_registry::{
    Appended, DataClass, DatasetName, DatasetState, NewDataset, PushOptions, Remote, Sensitivity, TagTarget,
    create, push, record::CommitRecord, tag,
};

use super::{ShardSpec, write_shard};

/// A dataset that is not there is empty, not an error.
pub(super) fn nothing_is_there(remote: &dyn Remote, dataset: &DatasetName) {
    assert_eq!(remote.log(dataset, 0).expect("an empty log"), []);
    assert_eq!(remote.log(dataset, 7).expect("an empty log"), []);
    assert_eq!(remote.read_hint(dataset).expect("no hint"), None);
    assert!(DatasetState::load(remote, dataset).expect("no state").is_none());
    assert!(!remote.datasets().expect("a list").contains(dataset));
}

/// Of several writers of one number exactly one is told that it was the one, and a record that is added
/// again is there once.
pub(super) fn one_record_has_a_number(shared: &Arc<dyn Remote>, dataset: &DatasetName) {
    let remote = &**shared;
    let new = NewDataset::new(dataset.clone(), "kit");
    assert!(create(remote, &new).expect("a new dataset").is_new);
    assert!(!create(remote, &new).expect("it is there").is_new);
    let sensitivity = Sensitivity { class: DataClass::Pseudonymous, ..Sensitivity::default() };
    let other = create(remote, &NewDataset { sensitivity, ..new }).expect_err("it is another");
    assert_eq!(other.kind(), ErrorKind::Conflict, "{other}");
    assert!(remote.datasets().expect("a list").contains(dataset));
    let folder = tempfile::tempdir().expect("a folder");
    let shard = ShardSpec { first_episode: 0, n_episodes: 1, n_steps: 3, seed: 5 };
    write_shard(&folder.path().join("train-0.parquet"), &shard);
    let options = PushOptions::new(dataset.clone(), vec![folder.path().to_owned()], "kit");
    push(shared, &options, &Silent).expect("a revision");
    let state = DatasetState::open(remote, dataset).expect("a state");
    let record = |idx: usize| {
        let op = nodedata_registry::Operation::Tag {
            tag: format!("tag-{idx}"),
            revision: Some("1.0.0".to_owned()),
        };
        state.next_record(op, &format!("kit-race-{idx}"), "kit")
    };
    // Made once: a record says at which second it was made.
    let records: Vec<CommitRecord> = (0..8).map(record).collect();
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (idx, record) in records.iter().enumerate() {
            let outcomes = &outcomes;
            scope.spawn(move || {
                let outcome = remote.append(dataset, record).expect("an answer");
                outcomes.lock().expect("no panic").push((idx, outcome));
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("no panic");
    let winners: Vec<usize> =
        outcomes.iter().filter(|(_, it)| matches!(it, Appended::Done { .. })).map(|(idx, _)| *idx).collect();
    let [winner] = winners.as_slice() else { panic!("{} writers won one number", winners.len()) };
    for (_, outcome) in &outcomes {
        if let Appended::Taken(entry) = outcome {
            assert_eq!(entry.record.op_id, format!("kit-race-{winner}"), "losers see who won");
        }
    }
    let again = remote.append(dataset, &records[*winner]).expect("an answer");
    assert!(matches!(again, Appended::Done { .. }), "the same record again is there already");
    let log = remote.log(dataset, 0).expect("a log");
    assert_eq!(log.len(), 3, "create, publish, one tag");
    assert!(log.iter().enumerate().all(|(idx, it)| it.record.seq == idx as u64), "no gap");
    assert!(log.windows(2).all(|it| it[1].record.prev == Some(it[0].digest)), "a chain");
    assert_eq!(remote.log(dataset, 2).expect("its end"), log[2..]);
    tag(remote, dataset, "kit", "stable", TagTarget::Usable("1.0.0")).expect("a tag");
    let state = DatasetState::open(remote, dataset).expect("a state");
    assert_eq!(state.tags.get("stable").map(String::as_str), Some("1.0.0"));
}
