use arrow_array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow_select::take::take;
use nodedata_core::{Nested, Storage};

use crate::{
    Align,
    align::{Choice, linear, slerp},
    cast::Misfit,
    flat::{Flat, NamePlaces, cast_leaves, retyped},
    mapping::{Field, Mapping, Part, Pick, Value},
    track::Track,
};

/// The column of a field: one row a step. `choices` are those of the field's way, by mapped stream.
///
/// # Errors
/// The step of the first value that does not fit, and why.
pub(crate) fn column(
    field: &Field,
    mapping: &Mapping,
    tracks: &[Track],
    choices: &[Option<Choice>],
    n_steps: usize,
) -> Result<ArrayRef, Misfit> {
    let filler = Filler { field, mapping, tracks, choices, n_steps };
    let column = match &field.value {
        Value::Constant(one) => {
            let zeros = UInt32Array::from(vec![0; n_steps]);
            take(one.as_ref(), &zeros, None).expect("the one row is there")
        }
        // Made of a tree of transforms, not of messages that are chosen.
        Value::Pose(_) => new_null_array(&field.feature.arrow_type(), n_steps),
        Value::Column(part) => filler.whole(part)?,
        Value::Joined(parts) => filler.joined(parts)?,
    };
    Ok(retyped(column, &field.feature.arrow_type()))
}

struct Filler<'a> {
    field: &'a Field,
    mapping: &'a Mapping,
    tracks: &'a [Track],
    choices: &'a [Option<Choice>],
    n_steps: usize,
}

impl Filler<'_> {
    fn choice(&self, stream: usize) -> &Choice {
        self.choices[stream].as_ref().expect("every way of a stream was chosen")
    }

    fn gather(&self, stream: usize, column: usize, rows: &[u32]) -> ArrayRef {
        let data_type = self.mapping.streams[stream].schema.field(column).data_type();
        self.tracks[stream].gather(column, data_type, rows)
    }

    fn whole(&self, part: &Part) -> Result<ArrayRef, Misfit> {
        let choice = self.choice(part.stream);
        let feature = &self.field.feature;
        let column = self.gather(part.stream, part.column, &choice.rows);
        if feature.storage != Storage::Plain {
            return Ok(column);
        }
        if !self.interpolates() {
            return cast_leaves(&column, feature.dtype).map_err(|it| {
                let nested = Nested::of(column.as_ref());
                Misfit { idx: nested.row_of(nested.dims.len(), it.idx), ..it }
            });
        }
        let after = self.gather(part.stream, part.column, &choice.after);
        let mixed = self.mix(Flat::of(&column), &Flat::of(&after), part.stream)?;
        Ok(mixed.cast(feature.dtype)?.into_column(feature))
    }

    fn joined(&self, parts: &[Part]) -> Result<ArrayRef, Misfit> {
        let feature = &self.field.feature;
        let of_one_stream = parts.iter().all(|it| it.stream == parts[0].stream);
        let flat = if self.interpolates() && of_one_stream {
            // Together, because a quaternion may be four fields.
            let choice = self.choice(parts[0].stream);
            let before = self.all_picked(parts, &choice.rows);
            let after = self.all_picked(parts, &choice.after);
            self.mix(Flat::join(before, self.n_steps), &Flat::join(after, self.n_steps), parts[0].stream)?
                .cast(feature.dtype)?
        } else {
            let of_stream = |parts: &[Part]| {
                let choice = self.choice(parts[0].stream);
                let flats = self.all_picked(parts, &choice.rows);
                if !self.interpolates() {
                    return flats.into_iter().map(|it| it.cast(feature.dtype)).collect();
                }
                let after = self.all_picked(parts, &choice.after);
                let mixed = flats
                    .into_iter()
                    .zip(&after)
                    .map(|(flat, after)| self.mix(flat, after, parts[0].stream)?.cast(feature.dtype));
                mixed.collect::<Result<Vec<Flat>, Misfit>>()
            };
            let mut flats = Vec::with_capacity(parts.len());
            for neighbours in parts.chunk_by(|a, b| a.stream == b.stream) {
                flats.extend(of_stream(neighbours)?);
            }
            Flat::join(flats, self.n_steps)
        };
        Ok(flat.into_column(feature))
    }

    /// Parts of one stream. Most have the same array of names, which is looked through once.
    fn all_picked(&self, parts: &[Part], rows: &[u32]) -> Vec<Flat> {
        let mut names: Option<(&Pick, NamePlaces)> = None;
        let mut picked = Vec::with_capacity(parts.len());
        for part in parts {
            let of_part = match &part.pick {
                Pick::All | Pick::Items(_) => None,
                Pick::Names { at, wanted } => Some(match names.take() {
                    Some(same) if *same.0 == part.pick => names.insert(same),
                    _ => {
                        let places = NamePlaces::new(wanted, &self.gather(part.stream, *at, rows));
                        names.insert((&part.pick, places))
                    }
                }),
            };
            let flat = Flat::of(&self.gather(part.stream, part.column, rows));
            picked.push(flat.pick(self.n_steps, &part.pick, of_part.map(|it| &it.1)));
        }
        picked
    }

    fn interpolates(&self) -> bool {
        matches!(self.field.way.align, Align::Linear | Align::Slerp)
    }

    fn mix(&self, before: Flat, after: &Flat, stream: usize) -> Result<Flat, Misfit> {
        let weights = &self.choice(stream).weights;
        match self.field.way.align {
            Align::Slerp => before.mix(after, weights, slerp),
            Align::Nearest | Align::Hold | Align::Linear => before.mix(after, weights, linear),
        }
    }
}

/// How far the messages of a field are from its steps: of the farthest where there are several.
pub(crate) fn skews(field: &Field, choices: &[Option<Choice>], column: &dyn Array) -> ArrayRef {
    let mut farthest: Vec<i64> = vec![0; column.len()];
    for part in field.value.parts() {
        let Some(choice) = &choices[part.stream] else { continue };
        for (far, skew) in farthest.iter_mut().zip(&choice.skew_ns) {
            if far.saturating_abs() < skew.saturating_abs() {
                *far = *skew;
            }
        }
    }
    std::sync::Arc::new(arrow_array::Int64Array::new(farthest.into(), column.logical_nulls()))
}
