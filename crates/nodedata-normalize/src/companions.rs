//! Columns that say what the values of a field are: what bare frames are, and what the bytes of point clouds hold.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array, cast::AsArray};
use nodedata_core::Result;

use crate::{
    align::Choice,
    cast::floats,
    flat::retyped,
    mapping::{Field, Frames, Mapping},
    recording::Recording,
    store::{Held, Store},
    track::Track,
    transform::{RawFrame, frame_type},
};

/// A frame that is another than those of its field.
pub(crate) struct OtherFrame {
    /// Which of the steps has it.
    pub(crate) idx: usize,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// Looks at the first frame of each field of bare frames, and says of the feature what all of them are to be.
///
/// # Errors
/// What reading reports.
pub(crate) fn look_at_frames(store: &mut Store, recordings: &[Recording]) -> Result<()> {
    // Fields of one camera share the look.
    let mut seen: BTreeMap<(usize, [usize; 4]), Option<RawFrame>> = BTreeMap::new();
    for idx in 0..store.mapping.fields.len() {
        let field = &store.mapping.fields[idx];
        let (Some(frames), [part]) = (&field.frames, field.value.parts()) else { continue };
        let first = match seen.entry((part.stream, frames.columns())) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => new.insert(first_frame(store, recordings, part.stream, frames)?).clone(),
        };
        let Mapping { fields, features, .. } = &mut store.mapping;
        let Field { feature, frames: Some(frames), .. } = &mut fields[idx] else { continue };
        let name = &feature.name;
        if let Some(first) = first.as_ref().filter(|_| !frames.vary) {
            features.iter_mut().filter(|it| it.name == *name).for_each(|it| first.tell(it));
        }
        frames.first = first;
    }
    Ok(())
}

fn first_frame(
    store: &Store,
    recordings: &[Recording],
    stream: usize,
    frames: &Frames,
) -> Result<Option<RawFrame>> {
    let nothing_held = Held::new();
    for partition in recordings.iter().flat_map(|it| it.survey.partitions.iter()) {
        let loaded = store.stream_of(*partition, stream, &nothing_held)?;
        let mut batches = loaded.streams[stream].batches.iter();
        if let Some(batch) = batches.find(|it| it.rows.num_rows() != 0) {
            return Ok(Told::of_rows(frames, &batch.rows.slice(0, 1)).at(0));
        }
    }
    Ok(None)
}

/// The columns beside a field, one row a step. Holds bare frames against those that the field has.
///
/// # Errors
/// The first step whose frame is another.
pub(crate) fn companions(
    field: &Field,
    mapping: &Mapping,
    tracks: &[Track],
    choices: &[Option<Choice>],
) -> Result<Vec<ArrayRef>, OtherFrame> {
    let [part] = field.value.parts() else { return Ok(Vec::new()) };
    let Some(choice) = &choices[part.stream] else { return Ok(Vec::new()) };
    let gather = |column: usize| {
        let data_type = mapping.streams[part.stream].schema.field(column).data_type();
        tracks[part.stream].gather(column, data_type, &choice.rows)
    };
    let beside = field.beside.iter().map(|it| retyped(gather(it.column), &it.feature.arrow_type()));
    let mut columns: Vec<ArrayRef> = beside.collect();
    if let Some(frames) = &field.frames {
        let told = Told::of(frames, gather);
        told.hold(&field.feature.name, frames)?;
        if frames.vary {
            let Told { heights, widths, formats } = told;
            columns.extend([Arc::new(heights) as ArrayRef, Arc::new(widths), Arc::new(formats)]);
        }
    }
    Ok(columns)
}

/// What messages say of their frames.
struct Told {
    heights: UInt32Array,
    widths: UInt32Array,
    formats: StringArray,
}

impl Told {
    fn of(frames: &Frames, column: impl Fn(usize) -> ArrayRef) -> Self {
        let (stored, named) = (column(frames.stored), column(frames.encoding));
        let (stored, named) = (stored.as_string::<i32>(), named.as_string::<i32>());
        Self {
            heights: sizes(&column(frames.height)),
            widths: sizes(&column(frames.width)),
            formats: stored.iter().zip(named).map(|(stored, named)| stored.or(named)).collect(),
        }
    }

    fn of_rows(frames: &Frames, rows: &RecordBatch) -> Self {
        Self::of(frames, |it| Arc::clone(rows.column(it)))
    }

    fn at(&self, row: usize) -> Option<RawFrame> {
        self.heights.is_valid(row).then(|| RawFrame {
            height: self.heights.value(row),
            width: self.widths.value(row),
            format: self.formats.value(row).to_owned(),
        })
    }

    /// Holds frames against the first one of the field.
    fn hold(&self, name: &str, frames: &Frames) -> Result<(), OtherFrame> {
        let Some(first) = &frames.first else { return Ok(()) };
        let is_same = |row: usize| {
            self.heights.value(row) == first.height
                && self.widths.value(row) == first.width
                && self.formats.value(row) == first.format
        };
        let others = (0..self.heights.len()).filter(|it| self.heights.is_valid(*it) && !is_same(*it));
        for (idx, other) in others.filter_map(|it| Some((it, self.at(it)?))) {
            let (one, two) = (frame_type(&first.format), frame_type(&other.format));
            if one != two {
                let message = format!(
                    "the frame is {}, and the first one of the field {}: a change of type",
                    told(&other),
                    told(first)
                );
                let hint = "one field holds values of one type: convert the parts of the recording one by one (`source.from` \
                            and `source.until`), or the topic as a table of its own";
                return Err(OtherFrame { idx, message, hint: hint.to_owned() });
            }
            if !frames.vary {
                let message =
                    format!("the frame is {}, and the first one of the field {}", told(&other), told(first));
                let hint = format!(
                    "`fields.{name}.frames: vary` adds the columns `{name}.height`, `{name}.width` and `{name}.encoding`, which say \
                     of each step what its frame is"
                );
                return Err(OtherFrame { idx, message, hint });
            }
        }
        Ok(())
    }
}

fn told(RawFrame { height, width, format }: &RawFrame) -> String {
    let dtype = frame_type(format).map_or_else(String::new, |it| format!(" of {it}"));
    format!("{height} × {width} {format}{dtype}")
}

/// Numbers of pixels, whatever type the messages count them in; 0 where they are none.
fn sizes(array: &ArrayRef) -> UInt32Array {
    let size = |it: f64| {
        let is_size = it.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&it);
        if is_size { it as u32 } else { 0 }
    };
    let values: Vec<u32> = floats(array.as_ref()).into_iter().map(size).collect();
    UInt32Array::new(values.into(), array.logical_nulls())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(frames: &[Option<(u32, u32, &str)>]) -> Told {
        Told {
            heights: frames.iter().map(|it| it.map(|it| it.0)).collect(),
            widths: frames.iter().map(|it| it.map(|it| it.1)).collect(),
            formats: frames.iter().map(|it| it.map(|it| it.2)).collect(),
        }
    }

    fn held(told: &Told, vary: bool) -> Result<(), (usize, String, String)> {
        let first = told_of(&[Some((2, 4, "rgb8"))]).at(0);
        let frames = Frames { height: 0, width: 0, stored: 0, encoding: 0, vary, first };
        told.hold("i", &frames).map_err(|it| (it.idx, it.message, it.hint))
    }

    #[test]
    fn frames_are_those_of_the_first_one_or_say_themselves_what_they_are() {
        let same = told_of(&[Some((2, 4, "rgb8")), None]);
        assert_eq!((held(&same, false), held(&same, true)), (Ok(()), Ok(())));
        for other in [(4, 2, "rgb8"), (2, 4, "rgba8")] {
            let other = told_of(&[None, Some((2, 4, "rgb8")), Some(other)]);
            assert_eq!(held(&other, true), Ok(()));
            let (idx, message, hint) = held(&other, false).unwrap_err();
            assert_eq!(idx, 2);
            assert!(message.ends_with("the first one of the field 2 × 4 rgb8 of uint8"), "{message}");
            assert!(hint.starts_with("`fields.i.frames: vary` adds"), "{hint}");
        }
    }

    #[test]
    fn a_change_of_type_is_refused_either_way() {
        let other = told_of(&[Some((2, 4, "32FC1"))]);
        for vary in [false, true] {
            let (idx, message, _) = held(&other, vary).unwrap_err();
            assert_eq!(idx, 0);
            assert!(message.contains("2 × 4 32FC1 of float32"), "{message}");
            assert!(message.ends_with("a change of type"), "{message}");
        }
    }
}
