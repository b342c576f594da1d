use std::collections::BTreeMap;

use arrow_array::{Array, RecordBatch, cast::AsArray};
use nodedata_core::{DType, Dim, ReadOptions, Result, Source, Storage, StreamId, StreamSchema};

use crate::window::{batches, windows};

/// Different texts of one feature that are kept.
const TEXTS_MAX: usize = 5;

/// What the rows of a stream show that its types do not.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) stream: StreamSchema,
    /// Whether it holds pictures or other media.
    pub(super) has_media: bool,
    /// Names that stand beside the vectors of a folder, by the folder's prefix (`""`, or `joints.`).
    pub(super) names: BTreeMap<String, Vec<String>>,
    /// Fewest and most elements of each vector.
    pub(super) lengths: BTreeMap<String, (usize, usize)>,
    /// Different texts of each text feature, the first ones.
    pub(super) texts: BTreeMap<String, Vec<String>>,
}

/// Reads the streams without pictures.
pub(super) fn look(source: &dyn Source) -> Result<Vec<Seen>> {
    let plan = source.plan();
    let mut all: Vec<Seen> = plan.streams.iter().map(Seen::new).collect();
    let wanted: Vec<StreamId> = all.iter().filter(|it| !it.has_media).map(|it| it.stream.id).collect();
    if wanted.is_empty() {
        return Ok(all);
    }
    let options = ReadOptions { streams: Some(wanted), ..ReadOptions::default() };
    for window in windows(plan.partitions.iter()) {
        for batch in batches(source, window, &options)? {
            all[batch.stream.0 as usize].take_in(&batch.rows);
        }
    }
    Ok(all)
}

impl Seen {
    fn new(stream: &StreamSchema) -> Self {
        let has_media = stream.features.iter().any(|it| match it.storage {
            Storage::EncodedMedia | Storage::RawMedia => true,
            Storage::Plain => false,
        });
        Self {
            stream: stream.clone(),
            has_media,
            names: BTreeMap::new(),
            lengths: BTreeMap::new(),
            texts: BTreeMap::new(),
        }
    }

    fn take_in(&mut self, rows: &RecordBatch) {
        let features = self.stream.features.clone();
        for (feature, column) in features.iter().zip(rows.columns()) {
            match (feature.dtype, feature.shape.as_slice()) {
                (DType::String, []) => {
                    let texts = self.texts.entry(feature.name.clone()).or_default();
                    for text in column.as_string_opt::<i32>().into_iter().flatten().flatten() {
                        if texts.len() < TEXTS_MAX && texts.iter().all(|it| it != text) {
                            texts.push(text.to_owned());
                        }
                    }
                }
                (DType::String, [Dim::Variable]) => self.take_names(&feature.name, column.as_ref()),
                (dtype, [Dim::Variable]) if dtype.is_numeric() => {
                    let Some(lists) = column.as_list_opt::<i32>() else { continue };
                    for idx in (0..lists.len()).filter(|it| lists.is_valid(*it)) {
                        let n = usize::try_from(lists.value_length(idx)).unwrap_or(0);
                        let (min, max) = self.lengths.entry(feature.name.clone()).or_insert((n, n));
                        (*min, *max) = ((*min).min(n), (*max).max(n));
                    }
                }
                (dtype, [Dim::Fixed(n)]) if dtype.is_numeric() => {
                    self.lengths.insert(feature.name.clone(), (*n as usize, *n as usize));
                }
                _ => {}
            }
        }
    }

    /// The names of the first message that has some.
    fn take_names(&mut self, feature: &str, column: &dyn Array) {
        let Some(prefix) = feature.strip_suffix("names").or_else(|| feature.strip_suffix("name")) else {
            return;
        };
        if self.names.contains_key(prefix) || !(prefix.is_empty() || prefix.ends_with('.')) {
            return;
        }
        let Some(lists) = column.as_list_opt::<i32>() else { return };
        let Some(first) = (0..lists.len()).find(|it| lists.is_valid(*it) && lists.value_length(*it) > 0)
        else {
            return;
        };
        let list = lists.value(first);
        let names =
            list.as_string_opt::<i32>().into_iter().flatten().map(|it| it.unwrap_or_default().to_owned());
        self.names.insert(prefix.to_owned(), names.collect());
    }
}
