//! The conformance kit of `nodedata-testkit` over LeRobot datasets in memory.

use nodedata_lerobot::LEROBOT;
use nodedata_testkit::{
    lerobot::{Base, Defect, Folder},
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

/// Rows are put in order, whatever pieces they are read in.
#[test]
fn rows_that_lie_out_of_order() {
    check("exchanged", &Defect::RowsExchanged.copy());
    check("scattered", &Defect::RowsScattered.copy());
}

#[test]
fn episodes_that_the_rows_tell() {
    check("rebuilt", &Defect::NoEpisodes.copy());
    check("rebuilt from files", &Defect::NoEpisodeLines.copy());
}
