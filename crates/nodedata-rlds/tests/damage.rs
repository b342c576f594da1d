//! Files that are not what they should be: refused with an address and a next step, or salvaged.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;

use std::sync::Arc;

use built::{
    Files,
    damaged::{self, Damaged, Outcome},
    dataset,
};
use nodedata_core::{Error, FindingKind, Format as _, Locus, OpenOptions, ReadOptions, Result};
use nodedata_io::MemoryFiles;
use nodedata_rlds::RLDS;

/// What became of a dataset that opened.
#[derive(Debug, Default)]
struct Read {
    n_steps: usize,
    /// What is told of damage, and where it is, from the plan and from reading.
    damage: Vec<(String, Locus)>,
    hints: usize,
}

/// Opens a dataset and reads it to its end.
fn read(files: Files, salvage: bool) -> Result<Read> {
    let files = files.into_iter().fold(MemoryFiles::default(), |all, (path, bytes)| all.with(path, bytes));
    let options = OpenOptions { salvage, ..OpenOptions::default() };
    let source = RLDS.open(Arc::new(files), &options)?;
    let mut read = Read::default();
    for finding in source.plan().findings_of(FindingKind::Damage) {
        read.damage.push((finding.message.clone(), finding.at.clone()));
        read.hints += usize::from(finding.hint.is_some());
    }
    for partition in 0..source.plan().partitions.len() {
        let mut stream = source.read(partition, &ReadOptions::default())?;
        loop {
            match stream.next_batch() {
                Ok(Some(batch)) => read.n_steps += batch.rows.num_rows(),
                Ok(None) => break,
                Err(err) => {
                    assert!(err.loss().is_some(), "no loss: {err}");
                    read.hints += usize::from(err.hint().is_some());
                    read.damage.push((err.chain(), err.locus().clone()));
                }
            }
        }
    }
    Ok(read)
}

fn check_told(case: &Damaged, (message, place): &(String, Locus)) {
    let Damaged { name, told, .. } = case;
    assert!(message.contains(told), "{name}: {message}");
    let place_text = place.to_string();
    for part in case.place {
        assert!(place_text.contains(part), "{name}: `{part}` is not in {place_text}");
    }
    assert!(place.path.is_some(), "{name}: {place_text}");
}

fn of_error(err: &Error) -> (String, Locus) {
    (err.chain(), err.locus().clone())
}

#[test]
fn a_sound_dataset_has_none() {
    let sound = read(dataset(), false).unwrap();
    assert_eq!((sound.n_steps, sound.damage.len()), (10, 0));
}

#[test]
fn every_kind_is_told_with_its_address() {
    for case in damaged::all() {
        let name = case.name;
        match read(case.files.clone(), false) {
            Err(err) => {
                check_told(&case, &of_error(&err));
                assert!(err.hint().is_some(), "{name}: no hint: {err}");
            }
            Ok(found) => {
                let first = found.damage.first().unwrap_or_else(|| panic!("{name}: nothing is told"));
                check_told(&case, first);
                assert_eq!(found.hints, found.damage.len(), "{name}: {:?}", found.damage);
                assert_ne!(case.outcome, Outcome::Refused, "{name}: it opens");
            }
        }
    }
}

#[test]
fn what_is_sound_is_salvaged() {
    for case in damaged::all() {
        let name = case.name;
        match (read(case.files.clone(), true), case.outcome) {
            (Err(err), Outcome::Refused) => {
                check_told(&case, &of_error(&err));
                assert!(err.hint().is_some(), "{name}: no hint: {err}");
            }
            (Ok(found), Outcome::Salvaged(n_steps)) => {
                assert_eq!(found.n_steps, n_steps, "{name}: {:?}", found.damage);
                check_told(&case, &found.damage[0]);
            }
            (found, outcome) => panic!("{name}: {outcome:?} was expected: {found:?}"),
        }
    }
}
