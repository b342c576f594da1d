//! The conformance kit of `nodedata-testkit` over datasets in memory.

mod built;

use nodedata_rlds::RLDS;
use nodedata_testkit::source::{Case, Damage, conformance};

/// Files that say what records are. Cut, they say nothing, and a split that lost its count is another dataset.
const METADATA: &[&str] = &["dataset_info.json", "features.json"];

/// A record is understood without what comes after it.
#[test]
fn a_dataset_of_all_kinds() {
    let damage = Damage::Records { places: 12, metadata: METADATA };
    conformance(&RLDS, &Case { name: "built".to_owned(), files: built::dataset(), damage });
}

#[test]
fn a_dataset_of_rare_kinds() {
    conformance(
        &RLDS,
        &Case { name: "kinds".to_owned(), files: built::kinds(), damage: Damage::Anything(4) },
    );
}
