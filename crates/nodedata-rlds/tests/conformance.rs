//! The conformance kit of `nodedata-testkit` over a dataset in memory.

mod built;

use nodedata_rlds::RLDS;
use nodedata_testkit::source::{Case, Damage, conformance};

#[test]
fn a_dataset_of_all_kinds() {
    // A file of metadata that is cut says nothing, and a split that lost its count is another dataset.
    conformance(
        &RLDS,
        &Case { name: "built".to_owned(), files: built::dataset(), damage: Damage::Anything(4) },
    );
}

#[test]
fn a_dataset_of_rare_kinds() {
    conformance(&RLDS, &Case { name: "kinds".to_owned(), files: built::kinds(), damage: Damage::Anything(4) });
}
