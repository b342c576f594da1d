//! A dataset that is created before there is anything in it, with what is known of it already.

use std::path::Path;

use nodedata_testkit::registry::{ShardSpec, write_shard};

use crate::{
    command::{Ran, Work},
    registry::run,
};

const CARD: &str = "# Grasps\n\nTaken by hand.\n";

fn create(work: &Work, more: &[&str]) -> Ran {
    let facts =
        ["--license", "cc-by-4.0", "--price", "199", "--modality", "rgb,action", "--tag", "manipulation"];
    let card = ["--title", "Grasps", "--robot", "embodiment=franka", "--readme", "card.md"];
    run(work, &[&["dataset", "create", "x"][..], &facts, &card, more].concat())
}

/// The facts of the newest revision, and its card.
fn check_taken_over(work: &Work, out: &str) {
    let shown = run(work, &["dataset", "show", "x", "--format", "json"]).exits(0).stdout;
    for fact in ["\"CC-BY-4.0\"", "\"199.00\"", "\"manipulation\"", "\"Grasps\"", "\"franka\"", "\"action\""]
    {
        assert!(shown.contains(fact), "{fact}: {shown}");
    }
    run(work, &["dataset", "pull", "x", "--out", out]).exits(0);
    let card = std::fs::read_to_string(work.path(out).join("README.md")).unwrap();
    assert!(card.starts_with("---\n") && card.ends_with(CARD), "{card}");
    run(work, &["validate", out]).exits(0);
}

#[test]
fn the_first_push_takes_over_what_was_said() {
    let work = Work::new();
    work.write("card.md", CARD);
    let made = create(&work, &[]).exits(0);
    assert!(made.stdout.starts_with("robot-lab/x created in "), "{}", made.stdout);
    let again = create(&work, &[]).exits(0);
    assert!(again.stdout.starts_with("robot-lab/x is there already, in "), "{}", again.stdout);
    let other = create(&work, &["--visibility", "private", "--data-class", "pseudonymous"]).exits(1);
    assert!(other.stderr.contains("already, with another data class"), "{}", other.stderr);
    // What nobody needs yet stays for the first push.
    run(&work, &["store", "gc", "--grace-days", "0"]).exits(0);
    run(&work, &["store", "fsck", "--full"]).exits(0);
    let spec = ShardSpec { first_episode: 0, n_episodes: 2, n_steps: 30, seed: 1 };
    write_shard(&work.path("shards/train-0.parquet"), &spec);
    let push = ["dataset", "push", "--name", "x", "shards"];
    let pushed = run(&work, &push).exits(0);
    assert!(pushed.stdout.starts_with("robot-lab/x 1.0.0 published (first)\n"), "{}", pushed.stdout);
    assert_eq!(run(&work, &push).exits(0).stdout, "robot-lab/x is already published as 1.0.0\n");
    check_taken_over(&work, "out");
    create(&work, &[]).exits(0);
    // A card of one's own goes before the one of the dataset.
    work.write("shards/README.md", "# Newer\n");
    run(&work, &push).exits(0);
    run(&work, &["dataset", "pull", "x", "--out", "newer"]).exits(0);
    let card = std::fs::read_to_string(work.path("newer/README.md")).unwrap();
    assert!(card.ends_with("# Newer\n"), "{card}");
}

/// A converted dataset brings a card that was made for it: what a person wrote goes before that.
#[test]
fn a_converted_dataset_gets_the_card_that_was_written_for_it() {
    let work = Work::new();
    work.write("card.md", CARD);
    create(&work, &[]).exits(0);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mcap");
    let log = work.copy(&fixtures.join("teleop.mcap"));
    run(&work, &["convert", &log, "--out", "made"]).exits(0);
    let push = ["dataset", "push", "--name", "x", "--deep", "made"];
    run(&work, &push).exits(0);
    assert_eq!(run(&work, &push).exits(0).stdout, "robot-lab/x is already published as 1.0.0\n");
    check_taken_over(&work, "out");
    run(&work, &["store", "fsck", "--full"]).exits(0);
}

/// A card that lies in the store is named by the dataset alone until there is a revision: losing it is found.
#[test]
fn a_card_that_is_gone_is_told() {
    let work = Work::new();
    work.write("card.md", CARD);
    create(&work, &[]).exits(0);
    let blob = nodedata_registry::layout::blob(&nodedata_registry::B3::of(CARD.as_bytes()));
    std::fs::remove_file(work.path("store").join(blob)).unwrap();
    let found = run(&work, &["store", "fsck"]).exits(1);
    assert!(
        found.stdout.contains("missing-blob") && found.stdout.contains("robot-lab/x@seq:0"),
        "{}",
        found.stdout
    );
}
