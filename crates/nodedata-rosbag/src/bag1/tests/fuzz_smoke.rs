//! Seeded damage: whatever is done to a bag, reading ends, nothing panics and the ledger balances.

use bytes::Bytes;
use nodedata_core::OpenOptions;
use nodedata_testkit::damaged::Random;

use super::{
    open, read_all,
    writer::{Writer, at, strings},
};

fn check(bytes: &Bytes) {
    for salvage in [false, true] {
        let options = OpenOptions { salvage, record_bytes_max: 8 << 20, ..OpenOptions::default() };
        match open(bytes, &options) {
            Ok(source) => {
                let outcome = read_all(&*source);
                assert!(!outcome.fewer_than_planned, "{:?}", outcome.errors);
            }
            Err(err) => assert!(err.locus().path.is_some() && err.hint().is_some(), "{err}"),
        }
    }
}

fn bags() -> Vec<Bytes> {
    let bag = |compression| {
        Writer::new(&[strings(0, "/a"), strings(1, "/b")])
            .chunk(compression, &[at(0, 0..8), at(1, 0..3)].concat())
            .chunk(compression, &at(0, 20..24))
    };
    let all = ["none", "bz2", "lz4"].map(|it| [bag(it).close(), bag(it).leave_open()]);
    all.concat()
}

#[test]
fn damaged_bags_end_in_errors() {
    let mut random = Random::new(13);
    for bag in bags() {
        for _ in 0..400 {
            // The padding of the header is most of a small bag, and damage to it is none.
            let mut rest = bag[4000..].to_vec();
            random.damage(&mut rest);
            check(&[&bag[..4000], &rest].concat().into());
            let mut front = bag[..200].to_vec();
            random.damage(&mut front);
            check(&[&front, &bag[200..]].concat().into());
        }
    }
}

#[test]
fn bags_cut_anywhere_end_in_errors() {
    for bag in bags() {
        for end in (0..200).chain(4000..bag.len()) {
            check(&bag.slice(..end));
        }
    }
}
