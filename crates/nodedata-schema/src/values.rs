use arrow_array::{Array, ArrowPrimitiveType, cast::AsArray, types::*};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use half::f16;
use nodedata_core::{Dim, Nested, NestedDim};

use crate::{
    Address, Bound, FieldSchema, RowPlace, Rule, Violation, Violations,
    compare::{key_path, shape_violation, violation},
};

/// One declared column of a stream.
pub(crate) struct ColumnCheck<'a> {
    pub(crate) idx: usize,
    pub(crate) name: &'a str,
    pub(crate) field: &'a FieldSchema,
    /// How many lists are around whole encoded tensors, of which nulls and those lists can be checked; `None`
    /// for plain values.
    pub(crate) media_lists: Option<usize>,
}

/// Where the rows stand.
pub(crate) struct RowContext<'a> {
    pub(crate) stream_idx: u32,
    pub(crate) stream: &'a str,
    pub(crate) place: RowPlace,
}

impl ColumnCheck<'_> {
    /// Checks what the schema says of values. Costs nothing for a column without rules.
    pub(crate) fn values(&self, array: &dyn Array, context: &RowContext<'_>, violations: &mut Violations) {
        let field = self.field;
        let has_bound = field.min.is_some() || field.max.is_some() || field.finite == Some(true);
        let has_value_rule = has_bound && self.media_lists.is_none();
        let lists_to_measure = self.dims().iter().any(|it| matches!(it, Dim::Fixed(_)));
        if field.nullable != Some(false) && !lists_to_measure && !has_value_rule {
            return;
        }
        let nested = Nested::of(array);
        let mut notes = Notes { check: self, context, violations };
        if field.nullable == Some(false) {
            notes.nulls(&nested);
        }
        if lists_to_measure {
            notes.lengths(&nested);
        }
        if has_value_rule {
            notes.bounds(&nested);
        }
    }

    /// The declared dimensions of what are lists in the column.
    fn dims(&self) -> &[Dim] {
        let shape = &self.field.shape;
        &shape[..self.media_lists.map_or(shape.len(), |it| it.min(shape.len()))]
    }
}

struct Notes<'a> {
    check: &'a ColumnCheck<'a>,
    context: &'a RowContext<'a>,
    violations: &'a mut Violations,
}

impl Notes<'_> {
    fn nulls(&mut self, nested: &Nested) {
        let mut rows = Vec::new();
        for (level, items) in nested.items.iter().enumerate() {
            let Some(valid) = &items.valid else { continue };
            // Only a null of its own counts, not what lies below one.
            let is_null = |idx: &usize| valid.is_null(*idx) && reached(items.reached.as_ref(), *idx);
            rows.extend((0..items.n_items).filter(is_null).map(|idx| nested.row_of(level, idx)));
        }
        rows.sort_unstable();
        rows.dedup();
        self.rows(Rule::Null, &rows, |_| "null".to_owned());
    }

    /// Lists whose length is not the declared one. Rows of a fixed-size list were compared by type.
    fn lengths(&mut self, nested: &Nested) {
        let mut rows = Vec::new();
        for (level, (dim, declared)) in nested.dims.iter().zip(self.check.dims()).enumerate() {
            let (NestedDim::List(offsets), Dim::Fixed(expected)) = (dim, declared) else { continue };
            let items = &nested.items[level];
            let mut idx = 0;
            loop {
                idx += offsets.n_lists_of_len(idx, *expected as usize);
                if idx >= items.n_items {
                    break;
                }
                if reached(items.valid.as_ref(), idx) {
                    rows.push(nested.row_of(level, idx));
                }
                idx += 1;
            }
        }
        rows.sort_unstable();
        rows.dedup();
        self.rows(Rule::Shape, &rows, |row| row_shape(nested, row));
    }

    fn bounds(&mut self, nested: &Nested) {
        match nested.values.data_type() {
            DataType::Int8 => self.bounds_of::<Int8Type>(nested),
            DataType::Int16 => self.bounds_of::<Int16Type>(nested),
            DataType::Int32 => self.bounds_of::<Int32Type>(nested),
            DataType::Int64 => self.bounds_of::<Int64Type>(nested),
            DataType::UInt8 => self.bounds_of::<UInt8Type>(nested),
            DataType::UInt16 => self.bounds_of::<UInt16Type>(nested),
            DataType::UInt32 => self.bounds_of::<UInt32Type>(nested),
            DataType::UInt64 => self.bounds_of::<UInt64Type>(nested),
            DataType::Float16 => self.bounds_of::<Float16Type>(nested),
            DataType::Float32 => self.bounds_of::<Float32Type>(nested),
            DataType::Float64 => self.bounds_of::<Float64Type>(nested),
            // The parser allows bounds on numbers only.
            _ => {}
        }
    }

    fn bounds_of<T>(&mut self, nested: &Nested)
    where
        T: ArrowPrimitiveType<Native: Bounded>,
    {
        let values: &[T::Native] = nested.values.as_primitive::<T>().values();
        let valid = nested.items.last().and_then(|it| it.valid.as_ref());
        let field = self.check.field;
        if let Some(min) = field.min {
            let min = T::Native::from_bound(min, Round::Up);
            self.broken(Rule::Min, nested, values, valid, |it| it < min);
        }
        if let Some(max) = field.max {
            let max = T::Native::from_bound(max, Round::Down);
            self.broken(Rule::Max, nested, values, valid, |it| it > max);
        }
        if field.finite == Some(true) {
            self.broken(Rule::Finite, nested, values, valid, |it| !it.finite());
        }
    }

    fn broken<N: Copy + std::fmt::Debug>(
        &mut self,
        rule: Rule,
        nested: &Nested,
        values: &[N],
        valid: Option<&NullBuffer>,
        breaks: impl Fn(N) -> bool + Copy,
    ) {
        const BLOCK: usize = 1024;
        let level = nested.dims.len();
        // (row, position of its first value that breaks the rule)
        let mut found: Vec<(usize, usize)> = Vec::new();
        for (block_idx, block) in values.chunks(BLOCK).enumerate() {
            // Without branches, so that it runs at the speed of memory; good blocks are nearly all.
            if !block.iter().fold(false, |any, it| any | breaks(*it)) {
                continue;
            }
            for (idx, _) in block.iter().enumerate().filter(|(_, it)| breaks(**it)) {
                let idx = block_idx * BLOCK + idx;
                let row = nested.row_of(level, idx);
                if reached(valid, idx) && found.last().is_none_or(|(last, _)| *last != row) {
                    found.push((row, idx));
                }
            }
        }
        let rows: Vec<usize> = found.iter().map(|(row, _)| *row).collect();
        self.rows(rule, &rows, |row| {
            let idx = found.partition_point(|(it, _)| *it < row);
            format!("{:?}", values[found[idx].1])
        });
    }

    fn rows(&mut self, rule: Rule, rows: &[usize], found: impl Fn(usize) -> String) {
        let key = (self.context.stream_idx, self.check.idx, rule);
        let RowPlace { episode, first_row } = self.context.place;
        for (n_noted, row) in rows.iter().enumerate() {
            if !self.violations.wants_address(&key) {
                self.violations.count_more(&key, (rows.len() - n_noted) as u64);
                return;
            }
            let address = Address { episode, row: first_row + *row as u64, found: found(*row) };
            let (check, stream) = (self.check, self.context.stream);
            self.violations.note(key, address, |found| describe(check, stream, rule, found));
        }
    }
}

/// Whether item `idx` counts, given which items do.
fn reached(mask: Option<&NullBuffer>, idx: usize) -> bool {
    mask.is_none_or(|it| it.is_valid(idx))
}

fn describe(check: &ColumnCheck<'_>, stream: &str, rule: Rule, found: &str) -> Violation {
    let ColumnCheck { name, field, .. } = check;
    let bound = |it: Option<Bound>| it.map(|it| it.to_string()).unwrap_or_default();
    let (message, key) = match rule {
        Rule::Shape => {
            let expected = crate::compare::shape_text(check.dims());
            return Violation { count: 0, ..shape_violation(stream, name, found, &expected) };
        }
        Rule::Min => (format!("is {found}, but the schema declares at least {}", bound(field.min)), "min"),
        Rule::Max => (format!("is {found}, but the schema declares at most {}", bound(field.max)), "max"),
        Rule::Finite => (format!("is {found}, but the schema declares it finite"), "finite"),
        Rule::Null => ("is null, but the schema declares it not nullable".to_owned(), "nullable"),
        Rule::MissingStream
        | Rule::ExtraStream
        | Rule::Missing
        | Rule::Extra
        | Rule::Type
        | Rule::Encoding
        | Rule::Rate => unreachable!("not a rule of values"),
    };
    let hint = format!("change {} in schema.json, or repair the source", key_path(stream, name, key));
    Violation { count: 0, ..violation(stream, Some(name), rule, format!("feature `{name}` {message}"), hint) }
}

/// The shape of one row as far as it is regular: lengths that differ inside it are -1.
fn row_shape(nested: &Nested, row: usize) -> String {
    let mut items = row..row + 1;
    let mut shape: Vec<i64> = Vec::new();
    for dim in &nested.dims {
        let (length, below) = match dim {
            NestedDim::Fixed(n) => (Some(*n), items.start * n..items.end * n),
            NestedDim::List(offsets) => {
                let mut lengths = items.clone().map(|it| offsets.range(it).len());
                let first = lengths.next();
                let regular = first.filter(|first| lengths.all(|it| it == *first));
                let below = match items.is_empty() {
                    true => 0..0,
                    false => offsets.range(items.start).start..offsets.range(items.end - 1).end,
                };
                (regular, below)
            }
        };
        shape.push(length.and_then(|it| i64::try_from(it).ok()).unwrap_or(-1));
        items = below;
    }
    format!("{shape:?}")
}

#[derive(Clone, Copy)]
enum Round {
    Up,
    Down,
}

/// A number that can be held against a [`Bound`] in its own type, so that a float32 equal to a declared
/// -0.1 is not below it.
trait Bounded: Copy + PartialOrd + std::fmt::Debug {
    /// The bound as a value of this type: to the nearest for floats, inwards for integers.
    fn from_bound(bound: Bound, round: Round) -> Self;
    fn finite(self) -> bool;
}

macro_rules! bounded_integer {
    ($($t:ty),*) => {$(
        impl Bounded for $t {
            fn from_bound(bound: Bound, round: Round) -> Self {
                let exact = match (bound, round) {
                    (Bound::Integer(it), _) => it,
                    // Floats saturate when cast.
                    (Bound::Float(it), Round::Up) => it.ceil() as i128,
                    (Bound::Float(it), Round::Down) => it.floor() as i128,
                };
                Self::try_from(exact.clamp(Self::MIN.into(), Self::MAX.into())).unwrap_or_default()
            }
            fn finite(self) -> bool {
                true
            }
        }
    )*};
}
bounded_integer!(i8, i16, i32, i64, u8, u16, u32, u64);

impl Bounded for f64 {
    fn from_bound(bound: Bound, _: Round) -> Self {
        bound.as_f64()
    }
    fn finite(self) -> bool {
        self.is_finite()
    }
}

impl Bounded for f32 {
    fn from_bound(bound: Bound, _: Round) -> Self {
        bound.as_f64() as Self
    }
    fn finite(self) -> bool {
        self.is_finite()
    }
}

impl Bounded for f16 {
    fn from_bound(bound: Bound, _: Round) -> Self {
        Self::from_f64(bound.as_f64())
    }
    fn finite(self) -> bool {
        self.is_finite()
    }
}
