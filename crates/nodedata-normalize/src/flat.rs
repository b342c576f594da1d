use std::{ops::Range, sync::Arc};

use arrow_array::{Array, ArrayRef, FixedSizeListArray, ListArray, UInt64Array, cast::AsArray, make_array};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use arrow_select::{interleave::interleave, take::take};
use nodedata_core::{DType, Feature};

use crate::{
    cast::{Misfit, blank, cast, floats},
    mapping::Pick,
};

/// Numbers, a list of them each row.
#[derive(Debug, Clone)]
pub(crate) struct Flat {
    pub(crate) values: ArrayRef,
    pub(crate) starts: Starts,
    /// Which rows are there; `None` for all. Rows that are not still have their place among `values`.
    pub(crate) valid: Option<NullBuffer>,
}

/// Where the values of each row lie.
#[derive(Debug, Clone)]
pub(crate) enum Starts {
    /// As many for every row.
    Each(usize),
    Lists(OffsetBuffer<i32>),
}

impl Starts {
    #[inline]
    fn range(&self, row: usize) -> Range<usize> {
        match self {
            Self::Each(n) => row * n..(row + 1) * n,
            Self::Lists(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
        }
    }
}

impl Flat {
    /// A column of scalars, of lists, or of fixed lists however deep. It must not be a slice.
    pub(crate) fn of(array: &ArrayRef) -> Self {
        let valid = array.nulls().filter(|it| it.null_count() != 0).cloned();
        match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Self {
                    values: Arc::clone(list.values()),
                    starts: Starts::Lists(list.offsets().clone()),
                    valid,
                }
            }
            DataType::FixedSizeList(..) => {
                let (mut each, mut values) = (1, Arc::clone(array));
                while let DataType::FixedSizeList(_, n) = values.data_type() {
                    each *= usize::try_from(*n).unwrap_or(0);
                    let inner = Arc::clone(values.as_fixed_size_list().values());
                    values = inner;
                }
                Self { values, starts: Starts::Each(each), valid }
            }
            _ => Self { values: Arc::clone(array), starts: Starts::Each(1), valid },
        }
    }

    /// The items that `pick` names. A row that lacks one of them is not there.
    pub(crate) fn pick(self, n_rows: usize, pick: &Pick, names: Option<&NamePlaces>) -> Self {
        let mut places = Places::new(n_rows, self.valid.as_ref());
        match (pick, names) {
            (Pick::All, _) => self,
            (Pick::Items(items), _) => {
                for row in 0..n_rows {
                    let range = self.starts.range(row);
                    places
                        .row(row, items.iter().map(|it| Some(range.start + it).filter(|it| *it < range.end)));
                }
                places.take(&self.values, items.len())
            }
            (Pick::Names { wanted, .. }, Some(names)) => {
                for row in 0..n_rows {
                    let range = self.starts.range(row);
                    let place =
                        |it: &Option<usize>| it.map(|it| range.start + it).filter(|it| *it < range.end);
                    places.row(row, names.of(row).iter().map(place));
                }
                places.take(&self.values, wanted.len())
            }
            (Pick::Names { wanted, .. }, None) => {
                for row in 0..n_rows {
                    places.row(row, wanted.iter().map(|_| None));
                }
                places.take(&self.values, wanted.len())
            }
        }
    }

    /// The same with its values cast.
    ///
    /// # Errors
    /// The row of the first value that does not fit, and why.
    pub(crate) fn cast(self, to: DType) -> Result<Self, Misfit> {
        let values = cast(&self.values, to).map_err(|it| Misfit { idx: self.row_of(it.idx), ..it })?;
        Ok(Self { values, ..self })
    }

    fn row_of(&self, idx: usize) -> usize {
        match &self.starts {
            Starts::Each(n) => idx.checked_div(*n).unwrap_or(0),
            Starts::Lists(offsets) => offsets.partition_point(|it| *it as usize <= idx).saturating_sub(1),
        }
    }

    /// The rows of all parts side by side. A row that is missing in one of them is missing.
    pub(crate) fn join(parts: Vec<Self>, n_rows: usize) -> Self {
        if parts.len() == 1 {
            return parts.into_iter().next().expect("just counted");
        }
        let valid = parts.iter().fold(None, |all, it| NullBuffer::union(all.as_ref(), it.valid.as_ref()));
        let mut places = Vec::new();
        let mut ends = vec![0i32];
        for row in 0..n_rows {
            for (idx, part) in parts.iter().enumerate() {
                places.extend(part.starts.range(row).map(|it| (idx, it)));
            }
            ends.push(i32::try_from(places.len()).expect("a piece stays below 2^31 values"));
        }
        let arrays: Vec<&dyn Array> = parts.iter().map(|it| it.values.as_ref()).collect();
        let values = interleave(&arrays, &places).expect("joined parts have one type");
        let each: Option<usize> = parts
            .iter()
            .try_fold(0, |sum, it| if let Starts::Each(n) = it.starts { Some(sum + n) } else { None });
        let starts = each.map_or_else(|| Starts::Lists(OffsetBuffer::new(ends.into())), Starts::Each);
        Self { values, starts, valid }
    }

    /// Between `self` and `other`, row by row: `between(self's, other's, weight of other, out)`.
    ///
    /// # Errors
    /// The first row whose two lists differ in length.
    pub(crate) fn mix(
        self,
        other: &Self,
        weights: &[f64],
        between: impl Fn(&[f64], &[f64], f64, &mut Vec<f64>),
    ) -> Result<Self, Misfit> {
        let (left, right) = (floats(self.values.as_ref()), floats(other.values.as_ref()));
        let valid = NullBuffer::union(self.valid.as_ref(), other.valid.as_ref());
        let mut values = Vec::with_capacity(left.len());
        for (row, weight) in weights.iter().enumerate() {
            let (one, two) = (&left[self.starts.range(row)], &right[other.starts.range(row)]);
            if *weight == 0.0 || valid.as_ref().is_some_and(|it| it.is_null(row)) {
                values.extend_from_slice(one);
            } else if one.len() == two.len() {
                between(one, two, *weight, &mut values);
            } else {
                let message = format!("there is nothing between {} values and {}", one.len(), two.len());
                return Err(Misfit { idx: row, message });
            }
        }
        let values: ArrayRef = Arc::new(arrow_array::Float64Array::from(values));
        Ok(Self { values, starts: self.starts, valid })
    }

    /// The column of `feature`, whose shape must be that of the rows.
    pub(crate) fn into_column(self, feature: &Feature) -> ArrayRef {
        match self.starts {
            Starts::Lists(offsets) => {
                let DataType::List(item) = feature.arrow_type() else { unreachable!("lists of any length") };
                Arc::new(ListArray::new(item, offsets, self.values, self.valid))
            }
            Starts::Each(_) => fixed(&feature.arrow_type(), self.values, self.valid),
        }
    }
}

/// Wraps values into fixed lists, the outermost of which may be null.
fn fixed(data_type: &DataType, values: ArrayRef, valid: Option<NullBuffer>) -> ArrayRef {
    let DataType::FixedSizeList(item, n) = data_type else {
        let nulls = NullBuffer::union(values.nulls(), valid.as_ref());
        let data = values.to_data().into_builder().nulls(nulls);
        return make_array(data.build().expect("only the validity of sound values changes"));
    };
    let inner = fixed(item.data_type(), values, None);
    Arc::new(FixedSizeListArray::new(Arc::clone(item), *n, inner, valid))
}

/// The constant of a feature as an array of one row.
pub(crate) fn constant_of(values: ArrayRef, feature: &Feature) -> ArrayRef {
    let each = if feature.shape.is_empty() { 1 } else { values.len() };
    Flat { values, starts: Starts::Each(each), valid: None }.into_column(feature)
}

/// Casts the innermost values of a column of any shape.
///
/// # Errors
/// The position of the first value that does not fit, among the innermost ones.
pub(crate) fn cast_leaves(array: &ArrayRef, to: DType) -> Result<ArrayRef, Misfit> {
    Ok(match array.data_type() {
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = cast_leaves(list.values(), to)?;
            let item = Arc::new(item.as_ref().clone().with_data_type(values.data_type().clone()));
            Arc::new(ListArray::new(item, list.offsets().clone(), values, list.nulls().cloned()))
        }
        DataType::FixedSizeList(item, n) => {
            let list = array.as_fixed_size_list();
            let values = cast_leaves(list.values(), to)?;
            let item = Arc::new(item.as_ref().clone().with_data_type(values.data_type().clone()));
            Arc::new(FixedSizeListArray::new(item, *n, values, list.nulls().cloned()))
        }
        _ => cast(array, to)?,
    })
}

/// The same column with the nullability of its items that `wanted` says.
pub(crate) fn retyped(array: ArrayRef, wanted: &DataType) -> ArrayRef {
    if array.data_type() == wanted {
        return array;
    }
    match wanted {
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = retyped(Arc::clone(list.values()), item.data_type());
            Arc::new(ListArray::new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned()))
        }
        DataType::FixedSizeList(item, n) => {
            let list = array.as_fixed_size_list();
            let values = retyped(Arc::clone(list.values()), item.data_type());
            Arc::new(FixedSizeListArray::new(Arc::clone(item), *n, values, list.nulls().cloned()))
        }
        _ => array,
    }
}

/// The values that a selection takes, row by row.
struct Places<'a> {
    valid_before: Option<&'a NullBuffer>,
    /// Per value its position, or none in a row that is missing.
    at: Vec<Option<usize>>,
    rows: Vec<bool>,
    row: Vec<Option<usize>>,
}

impl<'a> Places<'a> {
    fn new(n_rows: usize, valid_before: Option<&'a NullBuffer>) -> Self {
        Self { valid_before, at: Vec::new(), rows: Vec::with_capacity(n_rows), row: Vec::new() }
    }

    fn row(&mut self, row: usize, places: impl Iterator<Item = Option<usize>>) {
        self.row.clear();
        self.row.extend(places);
        let is_there =
            self.valid_before.is_none_or(|it| it.is_valid(row)) && self.row.iter().all(Option::is_some);
        if !is_there {
            self.row.fill(None);
        }
        self.rows.push(is_there);
        self.at.extend_from_slice(&self.row);
    }

    fn take(mut self, values: &ArrayRef, each: usize) -> Flat {
        // An item that is null itself is missing as well.
        if let Some(nulls) = values.logical_nulls().filter(|it| it.null_count() > 0) {
            for (row, is_there) in self.rows.iter_mut().enumerate() {
                let items = &mut self.at[row * each..(row + 1) * each];
                if items.iter().flatten().any(|it| nulls.is_null(*it)) {
                    *is_there = false;
                    items.fill(None);
                }
            }
        }
        let starts = Starts::Each(each);
        if !self.rows.contains(&false) {
            let places = UInt64Array::from_iter_values(self.at.iter().flatten().map(|it| *it as u64));
            let values = take(values.as_ref(), &places, None).expect("places lie among the values");
            return Flat { values, starts, valid: None };
        }
        let nothing = blank(DType::from_arrow(values.data_type()).unwrap_or(DType::Bytes));
        let places: Vec<(usize, usize)> = self.at.iter().map(|it| it.map_or((1, 0), |it| (0, it))).collect();
        let values = interleave(&[values.as_ref(), nothing.as_ref()], &places)
            .expect("a blank has the type of the values");
        Flat { values, starts, valid: Some(NullBuffer::from(self.rows)) }
    }
}

/// Where the names wanted stand in the arrays of names that messages carry. Neighbours nearly always carry the
/// same.
pub(crate) struct NamePlaces {
    /// By kind of array; for each name wanted its position, of the first where it comes twice.
    found: Vec<Vec<Option<usize>>>,
    /// By row, the kind of its array.
    kinds: Vec<usize>,
}

impl NamePlaces {
    /// Looks through the arrays of all rows.
    pub(crate) fn new(wanted: &[String], names: &ArrayRef) -> Self {
        let (texts, starts) = match names.data_type() {
            DataType::List(_) => {
                let list = names.as_list::<i32>();
                (list.values().as_string::<i32>(), Starts::Lists(list.offsets().clone()))
            }
            _ => {
                let list = names.as_fixed_size_list();
                let n = usize::try_from(list.value_length()).unwrap_or(0);
                (list.values().as_string::<i32>(), Starts::Each(n))
            }
        };
        let text = |it: usize| texts.is_valid(it).then(|| texts.value(it));
        let is_same = |last: &Range<usize>, range: &Range<usize>| {
            last.len() == range.len() && last.clone().zip(range.clone()).all(|(a, b)| text(a) == text(b))
        };
        // The first kind is that of rows without an array.
        let mut places =
            Self { found: vec![vec![None; wanted.len()]], kinds: Vec::with_capacity(names.len()) };
        let mut last: Option<Range<usize>> = None;
        for row in 0..names.len() {
            if names.is_null(row) {
                last = None;
                places.kinds.push(0);
                continue;
            }
            let range = starts.range(row);
            if !last.as_ref().is_some_and(|last| is_same(last, &range)) {
                let find = |name: &String| range.clone().position(|it| text(it) == Some(name.as_str()));
                places.found.push(wanted.iter().map(find).collect());
            }
            places.kinds.push(places.found.len() - 1);
            last = Some(range);
        }
        places
    }

    /// Where the names wanted stand in the array of a row; all of them nowhere in one that is null.
    pub(crate) fn of(&self, row: usize) -> &[Option<usize>] {
        &self.found[self.kinds[row]]
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{
        builder::{ListBuilder, StringBuilder},
        types::Float64Type,
    };
    use nodedata_core::Dim;

    use super::*;

    fn vectors(rows: &[Option<&[f64]>]) -> ArrayRef {
        let rows = rows.iter().map(|it| it.map(|it| it.iter().map(|it| Some(*it)).collect::<Vec<_>>()));
        Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(rows))
    }

    fn names(rows: &[&[&str]]) -> ArrayRef {
        let mut names = ListBuilder::new(StringBuilder::new());
        for row in rows {
            row.iter().for_each(|it| names.values().append_value(it));
            names.append(true);
        }
        Arc::new(names.finish())
    }

    fn rows(flat: Flat, shape: Vec<Dim>) -> Vec<Option<Vec<f64>>> {
        let feature = Feature::new("x", DType::Float64, shape).nullable();
        let column = flat.into_column(&feature);
        let row = |idx: usize| {
            let values = match column.data_type() {
                DataType::List(_) => column.as_list::<i32>().value(idx),
                _ => column.as_fixed_size_list().value(idx),
            };
            values.as_primitive::<Float64Type>().values().to_vec()
        };
        (0..column.len()).map(|it| column.is_valid(it).then(|| row(it))).collect()
    }

    #[test]
    fn names_are_followed_when_their_order_changes() {
        let values =
            vectors(&[Some(&[1.0, 2.0, 3.0]), Some(&[4.0, 5.0, 6.0]), Some(&[7.0]), Some(&[]), None]);
        let names = names(&[&["a", "b", "c"], &["c", "a", "b"], &["a", "b"], &["a", "b"], &["a", "b"]]);
        let wanted = ["b".to_owned(), "a".to_owned()];
        let pick = Pick::Names { at: 0, wanted: wanted.clone().into() };
        let picked = Flat::of(&values).pick(5, &pick, Some(&NamePlaces::new(&wanted, &names)));
        let expected = [Some(vec![2.0, 1.0]), Some(vec![6.0, 5.0]), None, None, None];
        assert_eq!(rows(picked, vec![Dim::Fixed(2)]), expected);
    }

    #[test]
    fn items_that_are_not_there_make_a_row_missing() {
        let values = vectors(&[Some(&[1.0, 2.0]), Some(&[3.0]), None]);
        let picked = Flat::of(&values).pick(3, &Pick::Items(vec![1, 0]), None);
        assert_eq!(rows(picked, vec![Dim::Fixed(2)]), [Some(vec![2.0, 1.0]), None, None]);
    }

    #[test]
    fn parts_are_joined_row_by_row() {
        let one = Flat::of(&vectors(&[Some(&[1.0, 2.0]), Some(&[3.0]), None]));
        let scalars: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![7.0, 8.0, 9.0]));
        let joined = Flat::join(vec![one, Flat::of(&scalars)], 3);
        assert_eq!(
            rows(joined, vec![Dim::Variable]),
            [Some(vec![1.0, 2.0, 7.0]), Some(vec![3.0, 8.0]), None]
        );
        let fixed = Flat::join(vec![Flat::of(&scalars), Flat::of(&scalars)], 3);
        assert_eq!(rows(fixed, vec![Dim::Fixed(2)])[2], Some(vec![9.0, 9.0]));
    }

    #[test]
    fn lists_of_different_lengths_have_nothing_between_them() {
        let one = Flat::of(&vectors(&[Some(&[1.0, 2.0]), Some(&[3.0])]));
        let two = Flat::of(&vectors(&[Some(&[3.0, 2.0]), Some(&[3.0, 4.0])]));
        let middle = |a: &[f64], b: &[f64], w: f64, out: &mut Vec<f64>| {
            out.extend(a.iter().zip(b).map(|(a, b)| a + (b - a) * w));
        };
        let mixed = one.clone().mix(&two, &[0.5, 0.0], middle).unwrap();
        assert_eq!(rows(mixed, vec![Dim::Variable]), [Some(vec![2.0, 2.0]), Some(vec![3.0])]);
        assert_eq!(one.mix(&two, &[0.5, 0.5], middle).unwrap_err().idx, 1);
    }
}
