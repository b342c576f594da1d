//! Fields whose rows are kept once they are decoded.

use std::{ops::Range, sync::Arc};

use nodedata_core::{DType, Error, ErrorKind, Result};
use nodedata_reader::{
    CacheOptions, Column, Data, Fetched, Field, Fields, Memory, Rooms, Rows, Split, StepRange, Tensor,
    VideoCache,
};
use serde_json::json;

use super::PartFields;
use crate::engine::{
    feed::Wanted,
    options::DecodedCache,
    row_store::{RowStore, file_bytes, make_room, rows_that_fit},
};

/// What is kept is of this rule: another way to decode gets another name.
const RULE: &str = "decoded/1";

/// A field whose rows are kept.
#[derive(Debug)]
pub(super) struct KeptField {
    /// Its place among the columns of its part.
    place: usize,
    /// Just it.
    fields: Fields,
    dtype: DType,
    shape: Vec<usize>,
    row_bytes: usize,
    /// Steps of the split before each of its episodes.
    starts: Arc<[u64]>,
    store: RowStore,
}

/// The fields of parts, those apart that are kept.
///
/// # Errors
/// `Config` where nobody says where and the user has no cache folder; `Io` where there can be no files.
pub(super) fn keep(split: &Split, parts: Vec<Fields>, cache: &DecodedCache) -> Result<Vec<PartFields>> {
    let folder = match &cache.folder {
        Some(folder) => folder.clone(),
        None => CacheOptions::Default
            .place()
            .and_then(|(blobs, _)| Some(blobs.parent()?.join("decoded")))
            .ok_or_else(|| {
                Error::new(ErrorKind::Config, "there is no cache folder for decoded rows")
                    .with_hint("set HOME or XDG_CACHE_HOME, or name a folder")
            })?,
    };
    let sizes: Vec<usize> = parts.iter().flat_map(Fields::iter).filter_map(row_bytes).collect();
    let of_parts = parts.iter().flat_map(|all| {
        let costly = all.iter().filter(|it| row_bytes(it).is_some());
        costly.map(move |it| key_of(split, &alone(all, it)))
    });
    let keys: Vec<String> = of_parts.collect();
    let fit = |max_bytes| rows_that_fit(&sizes, split.n_steps(), max_bytes);
    let most = fit(cache.max_bytes);
    let wanted = sizes.iter().map(|it| file_bytes(*it, most)).fold(0, u64::saturating_add);
    let n_rows = fit(make_room(&folder, &keys, wanted, cache.max_bytes));
    let starts = split.lengths().into_iter().scan(0_u64, |start, length| {
        let first = *start;
        *start = start.saturating_add(length);
        Some(first)
    });
    let starts: Arc<[u64]> = starts.collect();
    let mut kept = Vec::with_capacity(parts.len());
    for all in parts {
        let fields = all.only(|it| row_bytes(it).is_none());
        let mut part = PartFields { all: all.clone(), fields, kept: Vec::new() };
        for (place, field) in all.iter().enumerate() {
            let Some(row_bytes) = row_bytes(field) else { continue };
            let one = alone(&all, field);
            let store = RowStore::open(&folder, &key_of(split, &one), row_bytes, n_rows)?;
            let shape = field.info.shape.iter().filter_map(|it| usize::try_from(*it).ok()).collect();
            let (dtype, starts) = (field.info.dtype, Arc::clone(&starts));
            part.kept.push(KeptField { place, fields: one, dtype, shape, row_bytes, starts, store });
        }
        kept.push(part);
    }
    Ok(kept)
}

/// One field of several.
fn alone(all: &Fields, field: &Field) -> Fields {
    all.only(|it| it.info.name == field.info.name)
}

/// Bytes of a row of a field that is worth keeping: one that costs time, and whose rows are equally large.
fn row_bytes(field: &Field) -> Option<usize> {
    let n_bytes = field.row_bytes().filter(|it| *it > 0 && field.is_costly())?;
    usize::try_from(n_bytes).ok()
}

/// All that decides what rows decode to.
fn key_of(split: &Split, field: &Fields) -> String {
    let reader = split.reader();
    // What was left out of a split is in the manifest. What a folder holds instead of what was published is for the folder alone.
    let of_revision = (reader.manifest_digest(), reader.is_verified());
    let of_split = (split.name(), split.stream(), split.n_episodes(), split.n_steps());
    // Which decoder it was does not matter: all give the same frames.
    json!([RULE, env!("CARGO_PKG_VERSION"), of_revision, of_split, field.canonical()]).to_string()
}

impl KeptField {
    pub(super) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Rows that were found, and need not be decoded.
    pub(super) fn n_found(&self) -> u64 {
        self.store.n_found()
    }

    /// That no more rows are kept, and where, if that is so.
    pub(super) fn warning(&self) -> Option<String> {
        let name = self.fields.iter().next().map_or("", |it| &*it.info.name);
        let why = self.store.failure()?;
        Some(format!("decoded rows of `{name}`: {why}"))
    }

    /// The steps of some that are not kept.
    pub(super) fn missing(&self, ranges: &[StepRange]) -> Vec<StepRange> {
        let mut missing: Vec<StepRange> = Vec::new();
        for StepRange { episode, steps } in ranges {
            let mut is_next = false;
            for step in steps.clone() {
                let is_there = self.row_of(*episode, step).is_some_and(|row| self.store.has(row));
                match missing.last_mut() {
                    _ if is_there => is_next = false,
                    Some(last) if is_next => last.steps.end = step + 1,
                    _ => {
                        missing.push(StepRange { episode: *episode, steps: step..step + 1 });
                        is_next = true;
                    }
                }
            }
        }
        missing
    }

    /// Adds the column to those of its part: rows that are kept as they are, the others decoded, and kept from then on.
    ///
    /// # Errors
    /// Those of decoding; `Limit` where there is no memory.
    pub(super) fn add_to(
        &self,
        rows: &mut Rows,
        split: &Split,
        fetched: &Fetched,
        wanted: &Wanted,
        video: &VideoCache,
        rooms: &Rooms,
    ) -> Result<()> {
        let n_rows = usize::try_from(wanted.steps.end - wanted.steps.start).unwrap_or(usize::MAX);
        let name = self.fields.iter().next().map(|it| Arc::clone(&it.info.name)).ok_or_else(changed)?;
        let n_bytes = self.row_bytes.checked_mul(n_rows).ok_or_else(no_memory)?;
        let bytes = rooms.take(&name, n_bytes).or_else(|| Memory::to_fill(n_bytes));
        let mut bytes = bytes.ok_or_else(no_memory)?;
        let (mut valid, mut missing) = (vec![true; n_rows], Vec::<Range<u64>>::new());
        let places = bytes.chunks_exact_mut(self.row_bytes).zip(&mut valid);
        for (step, (place, is_valid)) in wanted.steps.clone().zip(places) {
            let found = self.row_of(wanted.episode, step).and_then(|row| self.store.read(row, place));
            match (found, missing.last_mut()) {
                (Some(found), _) => *is_valid = found,
                (None, Some(last)) if last.end == step => last.end = step + 1,
                (None, _) => missing.push(step..step + 1),
            }
        }
        let decoded = |run: &Range<u64>, rooms: &Rooms| {
            let fields = &self.fields;
            let rows = split.decode_into(fetched, wanted.episode, run.clone(), fields, video, rooms)?;
            let column = rows.columns.into_iter().next().ok_or_else(changed)?;
            self.store_all(&column, wanted.episode, run);
            Ok::<_, Error>(column)
        };
        if missing.first() == Some(&wanted.steps) {
            // All of them come anew.
            rooms.put(&name, bytes);
            let column = decoded(&wanted.steps, rooms)?;
            rows.columns.insert(self.place.min(rows.columns.len()), column);
            return Ok(());
        }
        for run in missing {
            let column = decoded(&run, &Rooms::default())?;
            let start = usize::try_from(run.start - wanted.steps.start).map_err(|_| no_memory())?;
            let tensor = self.tensor(&column).ok_or_else(changed)?;
            let place = start * self.row_bytes..start * self.row_bytes + tensor.bytes.len();
            bytes.get_mut(place).ok_or_else(changed)?.copy_from_slice(&tensor.bytes);
            if let (Some(of_column), Some(valid)) = (&column.valid, valid.get_mut(start..)) {
                for (place, is_valid) in valid.iter_mut().zip(of_column) {
                    *place = *is_valid;
                }
            }
        }
        let tensor = Tensor { dtype: self.dtype, shape: self.shape.clone(), bytes };
        let valid = if valid.iter().all(|it| *it) { None } else { Some(valid) };
        let column = Column { name, data: Data::Tensor(tensor), valid };
        rows.columns.insert(self.place.min(rows.columns.len()), column);
        Ok(())
    }

    fn store_all(&self, column: &Column, episode: usize, steps: &Range<u64>) {
        let Some(tensor) = self.tensor(column) else { return };
        for (idx, (step, row)) in steps.clone().zip(tensor.bytes.chunks_exact(self.row_bytes)).enumerate() {
            let is_valid = column.valid.as_ref().is_none_or(|it| it.get(idx).is_none_or(|it| *it));
            if let Some(place) = self.row_of(episode, step) {
                self.store.write(place, row, is_valid);
            }
        }
    }

    /// The values of a column that are as the field says.
    fn tensor<'a>(&self, column: &'a Column) -> Option<&'a Tensor> {
        match &column.data {
            Data::Tensor(tensor) => {
                Some(tensor).filter(|it| it.dtype == self.dtype && it.shape == self.shape)
            }
            Data::Ragged(_) | Data::Text(_) | Data::Bytes(_) => None,
        }
    }

    /// The number of a step in its split.
    fn row_of(&self, episode: usize, step: u64) -> Option<u64> {
        self.starts.get(episode)?.checked_add(step)
    }
}

fn changed() -> Error {
    Error::new(ErrorKind::SchemaMismatch, "decoded rows have another type or shape than those that are kept")
        .with_hint("leave `decoded_cache` out, and report this")
}

fn no_memory() -> Error {
    Error::new(ErrorKind::Limit, "there is no memory for the decoded rows")
        .with_hint("read fewer steps at once, name the fields that are wanted, or resize pictures")
}
