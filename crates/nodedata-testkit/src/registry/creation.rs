use std::sync::Arc;

use nodedata_core::{ErrorKind, Silent};
use nodedata_registry::{
    DatasetName, DatasetState, Facts, NewDataset, Outcome, PushOptions, Remote, Revision, create,
    parse_price, push,
};

use super::{ShardSpec, write_shard};

const CARD: &str = "# Grasps\n\nBy hand.\n";

/// What was said when a dataset was created is there for whoever pushes the first revision, from whichever machine; the
/// push may say otherwise. Creating it once more changes nothing, and creating another one of its name is refused.
pub(super) fn what_was_said_then_is_taken_over(shared: &Arc<dyn Remote>, dataset: &DatasetName) {
    let remote = &**shared;
    let words = |it: &[&str]| Some(it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
    let facts = Facts {
        title: Some("Grasps".to_owned()),
        license: Some("cc-by-4.0".to_owned()),
        price: Some(parse_price("199").expect("a price")),
        modality: words(&["rgb", "action"]),
        tags: words(&["manipulation"]),
        robot: None,
    };
    let new = NewDataset { facts, readme: Some(CARD.to_owned()), ..NewDataset::new(dataset.clone(), "kit") };
    let begun = create(remote, &new).expect("a new dataset");
    assert!(begun.is_new);
    assert_eq!(begun.state.facts.license.as_deref(), Some("CC-BY-4.0"), "as SPDX spells it");
    check_created_again(remote, &new);

    let folder = tempfile::tempdir().expect("a folder");
    let shard = |name: &str, first_episode: i64| {
        let spec = ShardSpec { first_episode, n_episodes: 1, n_steps: 3, seed: 8 };
        write_shard(&folder.path().join(name).join("train-0.parquet"), &spec);
        PushOptions::new(dataset.clone(), vec![folder.path().join(name)], "kit")
    };
    let mut first = shard("first", 0);
    first.facts.title = Some("Grasps of cups".to_owned());
    assert_eq!(push(shared, &first, &Silent).expect("a revision").outcome, Outcome::Published);
    check_published(shared, dataset, "Grasps of cups");
    assert_eq!(push(shared, &first, &Silent).expect("the same").outcome, Outcome::Unchanged);
    let again = shard("first", 0);
    assert_eq!(push(shared, &again, &Silent).expect("what was said is kept").outcome, Outcome::Unchanged);
    let more = PushOptions { append: true, ..shard("more", 1) };
    assert_eq!(push(shared, &more, &Silent).expect("one more shard").revision, "1.1.0");
    check_published(shared, dataset, "Grasps of cups");
    check_created_again(remote, &new);
}

fn check_created_again(remote: &dyn Remote, new: &NewDataset) {
    let state = DatasetState::open(remote, &new.dataset).expect("a state");
    let again = create(remote, new).expect("it is there");
    assert_eq!((again.is_new, &again.state), (false, &state));
    let mut others = vec![(NewDataset { readme: None, ..new.clone() }, "card")];
    for (facts, what) in [
        (Facts { title: None, ..new.facts.clone() }, "title"),
        (Facts { license: Some("MIT".to_owned()), ..new.facts.clone() }, "licence"),
        (Facts { price: None, tags: None, ..new.facts.clone() }, "price, tags"),
    ] {
        others.push((NewDataset { facts, ..new.clone() }, what));
    }
    for (other, what) in others {
        let err = create(remote, &other).expect_err("it is another dataset");
        assert_eq!(err.kind(), ErrorKind::Conflict, "{what}: {err}");
        assert!(err.to_string().ends_with(&format!("with another {what}")), "{err}");
    }
    let misspelt = Facts { modality: Some(vec!["rbg".to_owned()]), ..new.facts.clone() };
    let err = create(remote, &NewDataset { facts: misspelt, ..new.clone() }).expect_err("no modality");
    assert_eq!(err.kind(), ErrorKind::Config, "{err}");
    assert_eq!(DatasetState::open(remote, &new.dataset).expect("a state"), state, "nothing has changed");
}

fn check_published(remote: &Arc<dyn Remote>, dataset: &DatasetName, title: &str) {
    let state = DatasetState::open(&**remote, dataset).expect("a state");
    let revision = Revision::open(remote, dataset, state.head().expect("a revision")).expect("its manifest");
    let manifest = revision.manifest();
    assert_eq!((manifest.title.as_deref(), manifest.license.as_deref()), (Some(title), Some("CC-BY-4.0")));
    assert_eq!(manifest.price, Some(parse_price("199").expect("a price")));
    assert_eq!(
        (&manifest.modality[..], &manifest.tags[..]),
        (&["rgb", "action"].map(String::from)[..], &["manipulation".to_owned()][..])
    );
    let card = revision.read(&manifest.readme.blob).expect("the card");
    let card = std::str::from_utf8(&card).expect("text");
    assert!(card.starts_with("---\nlicense: cc-by-4.0\n") && card.ends_with(CARD), "{card}");
    assert!(card.contains(title), "{card}");
}
