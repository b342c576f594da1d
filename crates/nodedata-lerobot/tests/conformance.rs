//! The conformance kit of `nodedata-testkit` over LeRobot datasets in memory.

use nodedata_lerobot::LEROBOT;
use nodedata_testkit::{
    lerobot::{Base, Folder},
    source::{Case, Damage, conformance},
};

fn check(name: &str, folder: &Folder) {
    // A Parquet file is understood from its end, and a video that is cut has no table of its frames.
    conformance(
        &LEROBOT,
        &Case { name: name.to_owned(), files: folder.to_files(), damage: Damage::Anything(2) },
    );
}

#[test]
fn files_of_one_episode() {
    check("apart", &Base::Apart.folder());
}

#[test]
fn files_of_all_episodes() {
    check("joined", &Base::Joined.folder());
}

#[test]
fn files_that_roll_over() {
    check("rolled over", &Base::RolledOver.folder());
}

#[test]
fn images_in_parquet() {
    check("images", &Base::Images.folder());
}
