use std::sync::Arc;

use arrow_array::{Array, ArrayRef, FixedSizeListArray, UInt64Array, cast::AsArray};
use arrow_schema::DataType;
use arrow_select::take::take;
use nodedata_core::{Dim, Feature, meta, suggest};

use super::Items;
use crate::cast::Misfit;

/// Some items of each vector, in a new order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slice {
    /// By position, from the end where negative.
    places: Vec<i64>,
    /// What comes of it.
    pub(super) feature: Feature,
}

/// Most items one slice may name: longer ones are slips of the keyboard.
const ITEMS_MAX: usize = 100_000;

impl Slice {
    /// Items of a vector of any kind of values.
    ///
    /// # Errors
    /// What is wrong, and what the user can do.
    pub(super) fn new(items: &Items, feature: &Feature) -> Result<Self, (String, String)> {
        let names: Option<Vec<String>> =
            feature.metadata.get(meta::NAMES).and_then(|it| serde_json::from_str(it).ok());
        let length = match feature.shape.as_slice() {
            [Dim::Fixed(n)] => Some(i64::from(*n)),
            _ => None,
        };
        let places = match items {
            Items::Places(places) => places.iter().map(|it| i64::from(*it)).collect(),
            Items::Names(wanted) => by_name(wanted, names.as_deref())?,
            Items::Range { start, end } => range(*start, *end, length)?,
        };
        if let Some(n) = length
            && let Some(outside) = places.iter().find(|it| !(-n..n).contains(*it))
        {
            let message = format!(
                "there is no item {outside}: the vector has {n}, counted from 0, or from -1 backwards"
            );
            return Err((message, "name items that are there".to_owned()));
        }
        if places.is_empty() || ITEMS_MAX < places.len() {
            let hint = "the first item is `start`, and `end` is the first that is not taken".to_owned();
            return Err((format!("it selects {} items", places.len()), hint));
        }
        let mut feature = feature.clone();
        // Names that are not as many as the items are those of something else.
        let kept = names.zip(length).filter(|(names, n)| names.len() as i64 == *n).and_then(|(names, n)| {
            let name = |at: &i64| names.get(usize::try_from(at.rem_euclid(n)).ok()?).cloned();
            places.iter().map(name).collect::<Option<Vec<String>>>()
        });
        match kept {
            Some(names) => {
                feature.metadata.insert(meta::NAMES.to_owned(), serde_json::json!(names).to_string())
            }
            None => feature.metadata.remove(meta::NAMES),
        };
        feature.shape = vec![Dim::Fixed(u32::try_from(places.len()).unwrap_or(u32::MAX))];
        Ok(Self { places, feature })
    }

    /// Takes the items of each row.
    ///
    /// # Errors
    /// The first row that lacks one.
    pub(super) fn apply(&self, array: &ArrayRef) -> Result<ArrayRef, Misfit> {
        let (values, at) = match array.data_type() {
            DataType::FixedSizeList(_, n) => {
                let n = i64::from(*n);
                let rows = 0..array.len() as i64;
                let at = rows.flat_map(|row| self.places.iter().map(move |it| row * n + it.rem_euclid(n)));
                let at = UInt64Array::from_iter_values(at.map(|it| it as u64));
                (Arc::clone(array.as_fixed_size_list().values()), at)
            }
            _ => {
                let list = array.as_list::<i32>();
                let mut at: Vec<Option<u64>> = Vec::with_capacity(array.len() * self.places.len());
                for (row, bounds) in list.offsets().windows(2).enumerate() {
                    let (first, n) = (i64::from(bounds[0]), i64::from(bounds[1] - bounds[0]));
                    if array.is_null(row) {
                        at.extend(self.places.iter().map(|_| None));
                        continue;
                    }
                    if let Some(outside) = self.places.iter().find(|it| !(-n..n).contains(*it)) {
                        let message = format!("there is no item {outside} in a vector of {n}");
                        return Err(Misfit { idx: row, message });
                    }
                    at.extend(self.places.iter().map(|it| Some((first + it.rem_euclid(n)) as u64)));
                }
                (Arc::clone(list.values()), UInt64Array::from(at))
            }
        };
        let misfit = |err: arrow_schema::ArrowError| Misfit { idx: 0, message: err.to_string() };
        let values = take(values.as_ref(), &at, None).map_err(misfit)?;
        if let Some(row) = self.null_item(array, values.as_ref()) {
            return Err(Misfit { idx: row, message: "an item that is taken is null".to_owned() });
        }
        let DataType::FixedSizeList(item, n) = self.feature.arrow_type() else {
            return Err(Misfit { idx: 0, message: format!("{} holds no items", array.data_type()) });
        };
        let made =
            FixedSizeListArray::try_new_with_length(item, n, values, array.nulls().cloned(), array.len());
        Ok(Arc::new(made.map_err(misfit)?))
    }

    /// The row of an item that is null although its row is there.
    fn null_item(&self, array: &ArrayRef, values: &dyn Array) -> Option<usize> {
        let nulls = values.nulls().filter(|it| it.null_count() != 0)?;
        let rows = (0..values.len()).filter(|it| nulls.is_null(*it)).map(|it| it / self.places.len());
        let mut rows = rows.filter(|it| array.is_valid(*it));
        rows.next()
    }
}

fn by_name(wanted: &[String], names: Option<&[String]>) -> Result<Vec<i64>, (String, String)> {
    let Some(names) = names else {
        let message = "the items have no names".to_owned();
        return Err((message, "select them by position: `items`, or `start` and `end`".to_owned()));
    };
    let place = |name: &String| {
        let place = names.iter().position(|it| it == name);
        place.map(|it| it as i64).ok_or_else(|| {
            (format!("there is no item `{name}`"), suggest(name, names.iter().map(String::as_str)))
        })
    };
    wanted.iter().map(place).collect()
}

fn range(start: i32, end: Option<i32>, length: Option<i64>) -> Result<Vec<i64>, (String, String)> {
    let (start, end) = (i64::from(start), end.map(i64::from));
    let open = || {
        let message = "how many items there are only the messages tell".to_owned();
        (message, "give `start` and `end` counted from 0, or `items`".to_owned())
    };
    let from_start = |it: i64| match (it < 0, length) {
        (false, _) => Ok(it),
        (true, Some(n)) => Ok(n + it),
        (true, None) => Err(open()),
    };
    let start = from_start(start)?;
    let end = match end {
        Some(end) => from_start(end)?,
        None => length.ok_or_else(open)?,
    };
    Ok((start..end.min(start.saturating_add(ITEMS_MAX as i64 + 1))).collect())
}

#[cfg(test)]
mod tests {
    use arrow_array::{ListArray, types::Float32Type};
    use nodedata_core::DType;

    use super::*;
    use crate::flat::{Flat, Starts};

    fn vector(shape: Dim) -> Feature {
        Feature::new("v", DType::Float32, vec![shape])
    }

    fn items(of: &[i32]) -> Items {
        Items::Places(of.to_vec())
    }

    fn taken(slice: &Slice, column: &ArrayRef) -> Vec<Option<Vec<f32>>> {
        let made = slice.apply(column).unwrap();
        assert_eq!(*made.data_type(), slice.feature.arrow_type());
        let rows = made.as_fixed_size_list();
        let row = |it: usize| rows.value(it).as_primitive::<Float32Type>().values().to_vec();
        (0..rows.len()).map(|it| rows.is_valid(it).then(|| row(it))).collect()
    }

    #[test]
    fn items_keep_their_names_and_follow_the_order_that_is_asked_for() {
        let feature = vector(Dim::Fixed(4)).with_meta(meta::NAMES, r#"["a","b","c","d"]"#);
        let values: ArrayRef =
            Arc::new(arrow_array::Float32Array::from_iter_values((0..8).map(|it| it as f32)));
        let column = Flat { values, starts: Starts::Each(4), valid: None }.into_column(&feature);
        for (asked, names, first, second) in [
            (items(&[2, 0]), r#"["c","a"]"#, vec![2.0, 0.0], vec![6.0, 4.0]),
            (items(&[-1]), r#"["d"]"#, vec![3.0], vec![7.0]),
            (Items::Names(vec!["b".into(), "a".into()]), r#"["b","a"]"#, vec![1.0, 0.0], vec![5.0, 4.0]),
            (Items::Range { start: 1, end: Some(3) }, r#"["b","c"]"#, vec![1.0, 2.0], vec![5.0, 6.0]),
            (Items::Range { start: -2, end: None }, r#"["c","d"]"#, vec![2.0, 3.0], vec![6.0, 7.0]),
        ] {
            let slice = Slice::new(&asked, &feature).unwrap();
            assert_eq!(slice.feature.metadata[meta::NAMES], names);
            assert_eq!(taken(&slice, &column), [Some(first), Some(second.clone())]);
            assert_eq!(taken(&slice, &column.slice(1, 1)), [Some(second)]);
        }
        let all = Slice::new(&Items::Range { start: 0, end: None }, &feature).unwrap();
        assert_eq!(all.apply(&column).unwrap().as_ref(), column.as_ref());
        for (asked, told) in [
            (items(&[4]), "there is no item 4"),
            (items(&[-5]), "there is no item -5"),
            (items(&[]), "selects 0 items"),
            (Items::Range { start: 3, end: Some(3) }, "selects 0 items"),
            (Items::Names(vec!["e".into()]), "there is no item `e`"),
        ] {
            let (message, _) = Slice::new(&asked, &feature).unwrap_err();
            assert!(message.contains(told), "{message}");
        }
    }

    #[test]
    fn vectors_of_any_length_have_what_they_have() {
        let feature = vector(Dim::Variable).nullable();
        let rows = vec![Some(vec![Some(1.0), Some(2.0)]), None, Some(vec![Some(3.0)])];
        let column: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows));
        let last = Slice::new(&items(&[-1]), &feature).unwrap();
        assert_eq!(taken(&last, &column), [Some(vec![2.0]), None, Some(vec![3.0])]);
        let second = Slice::new(&items(&[1]), &feature).unwrap();
        assert_eq!(second.apply(&column).unwrap_err().idx, 2);
        assert!(Slice::new(&Items::Range { start: 0, end: None }, &feature).is_err());
        assert!(Slice::new(&Items::Names(vec!["a".into()]), &feature).is_err());
        assert!(Slice::new(&Items::Range { start: 0, end: Some(1) }, &feature).is_ok());
    }
}
