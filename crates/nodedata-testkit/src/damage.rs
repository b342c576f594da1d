use std::path::Path;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use bytes::Bytes;
use nodedata_core::{Error, FindingKind, Format, OpenOptions, ReadOptions};

use crate::{
    random::Random,
    rows::{Everything, StreamRows, read_all},
    source::{Case, Damage, open},
};

/// Copies with flipped bits.
const N_FLIPPED: u64 = 24;

/// Reads damaged copies of a case: each file cut at several places, and with bits flipped.
pub(crate) fn check(format: &dyn Format, case: &Case) {
    let whole = open(format, case, &options(case.damage, false));
    let whole = read_all(&case.name, whole.as_ref(), &ReadOptions::default());
    for (input, (path, bytes)) in case.files.iter().enumerate() {
        for end in places(case.damage, bytes.len()) {
            let at = format!("{} cut to {end} of {} bytes", case.name, bytes.len());
            let copy = copy_with(case, path, &bytes.slice(..end), &at);
            read_if_it_opens(format, &copy, false);
            let salvaged = read_if_it_opens(format, &copy, true);
            if is_understood_from_the_front(case.damage, path) {
                nothing_sound_is_lost(&at, salvaged.as_ref(), &whole, input, end as u64);
            }
        }
        let mut random = Random::new(bytes.len() as u64);
        for round in 0..N_FLIPPED {
            let mut flipped = bytes.to_vec();
            for _ in 0..=round % 4 {
                let bit = random.below(flipped.len() as u64 * 8);
                flipped[(bit / 8) as usize] ^= 1 << (bit % 8);
            }
            let at = format!("{} with flipped bits, round {round}", case.name);
            let copy = copy_with(case, path, &flipped.into(), &at);
            read_if_it_opens(format, &copy, false);
            read_if_it_opens(format, &copy, true);
        }
    }
}

/// Whether rows of a cut copy of a file are held against those of the whole.
fn is_understood_from_the_front(damage: Damage, path: &Path) -> bool {
    match damage {
        Damage::Prefix(_) => true,
        Damage::Records { metadata, .. } => !metadata.iter().any(|it| path.ends_with(it)),
        Damage::Anything(_) => false,
    }
}

/// Messages stay bytes where copies are held against the whole, so that types inferred from all rows cannot
/// differ in a copy that has fewer. Elsewhere all values are read.
fn options(damage: Damage, salvage: bool) -> OpenOptions {
    let undecoded = match damage {
        Damage::Prefix(_) => vec!["*".to_owned()],
        Damage::Records { .. } | Damage::Anything(_) => Vec::new(),
    };
    OpenOptions { salvage, undecoded, ..OpenOptions::default() }
}

/// Where to cut: both ends, and evenly between.
fn places(damage: Damage, n_bytes: usize) -> Vec<usize> {
    let (Damage::Prefix(n) | Damage::Records { places: n, .. } | Damage::Anything(n)) = damage;
    let mut places: Vec<usize> = (1..=n).map(|it| n_bytes * it / (n + 1)).collect();
    places.extend([0, 1, n_bytes.saturating_sub(1)]);
    places.retain(|it| *it < n_bytes);
    places.sort_unstable();
    places.dedup();
    places
}

fn copy_with(case: &Case, path: &Path, bytes: &Bytes, at: &str) -> Case {
    let mut copy = Case { name: at.to_owned(), ..case.clone() };
    for file in &mut copy.files {
        if file.0 == *path {
            file.1 = bytes.clone();
        }
    }
    copy
}

/// What a copy gives, or `None` when it is refused, which must name the file.
fn read_if_it_opens(format: &dyn Format, copy: &Case, salvage: bool) -> Option<Everything> {
    let has_file = |err: &Error| assert!(err.locus().path.is_some(), "{}: no file: {err}", copy.name);
    match format.open(copy.in_memory(), &options(copy.damage, salvage)) {
        Err(err) => {
            has_file(&err);
            assert!(err.hint().is_some(), "{}: no hint: {err}", copy.name);
            None
        }
        Ok(source) => {
            let damage: Vec<_> = source.plan().findings_of(FindingKind::Damage).collect();
            for found in &damage {
                assert!(found.at.path.is_some(), "{}: no file: {}", copy.name, found.message);
            }
            assert!(salvage || damage.is_empty(), "{}: opened in spite of damage", copy.name);
            Some(read_all(&copy.name, source.as_ref(), &ReadOptions::default()))
        }
    }
}

/// Every row whose bytes lie in front of the cut is there, and no row that the whole does not hold.
fn nothing_sound_is_lost(
    at: &str,
    salvaged: Option<&Everything>,
    whole: &Everything,
    cut_input: usize,
    end: u64,
) {
    let nothing = Everything::default();
    let salvaged = salvaged.unwrap_or(&nothing);
    for (name, found) in &salvaged.streams {
        let is_known = whole.streams.values().any(|it| it.facts == found.facts);
        assert!(is_known, "{at}: the whole has no stream {name}");
    }
    for (name, all) in &whole.streams {
        let n_inputs = all.origins.iter().map(|it| it.1 + 1).max().unwrap_or(0);
        for input in 0..n_inputs {
            let all_rows = rows_of(all, input);
            let is_sound = |it: &&(usize, usize, std::ops::Range<u64>)| {
                it.1 == input && (input != cut_input || it.2.end <= end)
            };
            let n_sound = all.origins.iter().filter(is_sound).count();
            let found = salvaged.streams.values().find(|it| it.facts == all.facts);
            let found = found.map(|it| rows_of(it, input));
            let n_found = found.as_ref().map_or(0, RecordBatch::num_rows);
            assert!(n_sound <= n_found, "{at}: stream {name} has {n_found} rows of {n_sound} sound ones");
            if let Some(found) = found {
                assert!(n_found <= all_rows.num_rows(), "{at}: stream {name} has rows that never were");
                assert!(found == all_rows.slice(0, n_found), "{at}: stream {name} has other rows");
            }
        }
    }
}

/// The rows that come from one input file.
fn rows_of(stream: &StreamRows, input: usize) -> RecordBatch {
    let inside: BooleanArray = stream.origins.iter().map(|it| Some(it.1 == input)).collect();
    filter_record_batch(&stream.rows, &inside).expect("a filter of equal length")
}
