//! Files that are not what they should be: refused with an address and a next step, or salvaged.

mod built;

use std::sync::Arc;

use built::{
    Files,
    damaged::{self, Damaged, Outcome},
    dataset,
};
use nodedata_core::{FindingKind, Format as _, Locus, OpenOptions, ReadOptions, Result};
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

/// What is wrong with what was told of a case.
fn mistakes(case: &Damaged, message: &str, place: &Locus, has_hint: bool) -> Vec<String> {
    let place_text = place.to_string();
    let mut mistakes = Vec::new();
    if !message.contains(case.told) {
        mistakes.push(format!("it is told so: {message}"));
    }
    mistakes.extend(
        case.place
            .iter()
            .filter(|it| !place_text.contains(**it))
            .map(|it| format!("`{it}` is not in {place_text}")),
    );
    if place.path.is_none() || !has_hint {
        mistakes.push(format!("no path or no hint: {message} at {place_text}"));
    }
    mistakes
}

/// What is wrong with how a case was read.
fn check(case: &Damaged, salvage: bool) -> Vec<String> {
    match (read(case.files.clone(), salvage), case.outcome) {
        (Err(err), outcome) => {
            let mut mistakes = mistakes(case, &err.chain(), err.locus(), err.hint().is_some());
            if salvage && outcome != Outcome::Refused {
                mistakes.push("it does not open".to_owned());
            }
            mistakes
        }
        (Ok(found), outcome) => {
            let Some((message, place)) = found.damage.first() else {
                return vec!["nothing is told".to_owned()];
            };
            let mut mistakes = mistakes(case, message, place, found.hints == found.damage.len());
            if outcome == Outcome::Refused {
                mistakes.push("it opens".to_owned());
            }
            if let (Outcome::Salvaged(n_steps), true) = (outcome, salvage)
                && n_steps != found.n_steps
            {
                mistakes.push(format!("{} steps are read: {:?}", found.n_steps, found.damage));
            }
            mistakes
        }
    }
}

fn check_all(salvage: bool) {
    // The command is shown more of them, where the heap is counted.
    let cases = damaged::all(100_000);
    let mistakes = cases.iter().flat_map(|case| {
        check(case, salvage).into_iter().map(|it| format!("{}: {it}", case.name)).collect::<Vec<_>>()
    });
    let mistakes: Vec<String> = mistakes.collect();
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

#[test]
fn a_sound_dataset_has_none() {
    let sound = read(dataset(), false).unwrap();
    assert_eq!((sound.n_steps, sound.damage.len()), (10, 0));
}

#[test]
fn every_kind_is_told_with_its_address() {
    check_all(false);
}

#[test]
fn what_is_sound_is_salvaged() {
    check_all(true);
}
