//! The columns of a row that is a sample.

mod array_target;
mod target;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;
use nodedata_core::{
    Columns, DType, Error, ErrorKind, Feature, Layout, LeafId, MediaShape, OpenOptions, Result, STEPS,
    Storage, StreamSchema, free_name, meta,
};
use nodedata_steps::{
    Column, check_dealt_column, check_names, check_undecoded, media_shapes, name_of_sample, row_index,
    samples_schema, select,
};

use self::target::Target;
use crate::{
    archive::Archive,
    fields::LearnedField,
    group::{Field, Sample},
    member::Bounds,
};

/// The column of the key of a sample: as `webdataset` and `datasets` call it.
pub(crate) const KEY: &str = "__key__";
/// Where it stands.
const KEY_LEAF: LeafId = LeafId(1);
/// Columns before those of fields.
const N_BUILT_IN: usize = 2;
/// Columns that a sample may become.
const COLUMNS_MAX: usize = 16_384;

/// The columns of a row.
pub(crate) struct Table {
    /// All columns that are filled.
    pub(crate) layout: Arc<Layout>,
    /// Of a batch.
    pub(crate) schema: SchemaRef,
    /// Positions of those that were selected, in order.
    kept: Vec<usize>,
    targets: Vec<Target>,
    by_field: HashMap<String, usize>,
}

/// Where a column comes from.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    StepIndex,
    Key,
    /// Of a field, one of its columns.
    Field(usize, usize),
}

/// What cannot be used of a member.
pub(crate) struct Unusable {
    pub(crate) field: Field,
    pub(crate) err: Error,
}

/// The columns of fields, the stream of those that are selected, and the names of the others.
///
/// # Errors
/// `Config` for names that are not there; `Limit` for too many columns.
pub(crate) fn table(
    fields: &[LearnedField],
    options: &OpenOptions,
) -> Result<(Table, StreamSchema, Vec<String>)> {
    let streams: Vec<&str> = fields.iter().map(|it| it.name.as_str()).chain([STEPS]).collect();
    check_undecoded(&streams, options)?;
    let n_columns = fields.iter().map(|it| it.kind.n_columns()).fold(N_BUILT_IN, usize::saturating_add);
    if COLUMNS_MAX < n_columns {
        let message = format!("the samples would become {n_columns} columns, more than {COLUMNS_MAX}");
        return Err(Error::new(ErrorKind::Limit, message)
            .with_hint("`--undecoded FIELD` keeps the members of a field as bytes, in one column"));
    }
    let columns = columns(fields)?;
    check_names(&columns[1..], &[], options)?;
    check_dealt(fields, &columns[1..], options)?;
    let all = OpenOptions { undecoded: Vec::new(), ..options.clone() };
    let names: BTreeMap<(usize, usize), String> = columns
        .iter()
        .filter_map(|it| match it.origin {
            Origin::Field(field, idx) => Some(((field, idx), it.feature.name.clone())),
            Origin::StepIndex | Origin::Key => None,
        })
        .collect();
    let (kept, unselected) = select(columns, &all, |it| match it.origin {
        Origin::StepIndex => None,
        Origin::Key | Origin::Field(..) => Some(it.feature.name.clone()),
    });
    let needed: BTreeSet<usize> = kept
        .iter()
        .filter_map(|it| match it.origin {
            Origin::Field(field, _) => Some(field),
            Origin::StepIndex | Origin::Key => None,
        })
        .collect();
    let (mut layout, targets, firsts) = compile(fields, &needed)?;
    for (field, first) in &firsts {
        for idx in 0..fields[*field].kind.n_columns() {
            layout.feature_mut(LeafId(first + idx)).name = names[&(*field, idx)].clone();
        }
    }
    let position = |origin: Origin| match origin {
        Origin::StepIndex => 0,
        Origin::Key => KEY_LEAF.0,
        Origin::Field(field, idx) => firsts[&field] + idx,
    };
    let kept: Vec<usize> = kept.iter().map(|it| position(it.origin)).collect();
    let stream = samples_schema(kept.iter().map(|it| layout.feature(LeafId(*it)).clone()).collect());
    let by_field = targets.iter().enumerate().map(|(idx, it)| (it.field.clone(), idx)).collect();
    let table = Table { layout: Arc::new(layout), schema: stream.arrow(), kept, targets, by_field };
    Ok((table, stream, unselected))
}

/// Checks that the column that rows are dealt by is one whose values are looked up.
fn check_dealt(fields: &[LearnedField], columns: &[Column<Origin>], options: &OpenOptions) -> Result<()> {
    let can_deal: Vec<Vec<bool>> = fields.iter().map(|it| it.kind.can_deal()).collect();
    let column = |it: &Column<Origin>| match it.origin {
        Origin::StepIndex => false,
        Origin::Key => true,
        Origin::Field(field, idx) => can_deal[field][idx],
    };
    let columns = columns.iter().map(|it| (it.feature.name.as_str(), column(it)));
    let why = "it lies in a list, or in a member that is no JSON";
    check_dealt_column(options, "sample has the field", why, columns)
}

/// All columns, each with a name of its own.
fn columns(fields: &[LearnedField]) -> Result<Vec<Column<Origin>>> {
    let all: BTreeSet<usize> = (0..fields.len()).collect();
    let (layout, _, firsts) = compile(fields, &all)?;
    let built_in = [Origin::StepIndex, Origin::Key].into_iter();
    let of_field = |(field, _): (&usize, &usize)| {
        let field = *field;
        (0..fields[field].kind.n_columns()).map(move |idx| Origin::Field(field, idx))
    };
    let origins = built_in.chain(firsts.iter().flat_map(of_field));
    let mut taken = BTreeSet::new();
    let column = |(feature, origin): (&Feature, Origin)| {
        let mut feature = feature.clone();
        if matches!(origin, Origin::Field(..)) {
            feature.name = free_name(&name_of_sample(&feature.name), |it| taken.contains(it));
        }
        taken.insert(feature.name.clone());
        Column { feature, origin }
    };
    Ok(layout.features().zip(origins).map(column).collect())
}

/// The columns of some of the fields, how they are filled, and which is the first of each.
fn compile(
    fields: &[LearnedField],
    needed: &BTreeSet<usize>,
) -> Result<(Layout, Vec<Target>, BTreeMap<usize, usize>)> {
    let mut layout = Layout::default();
    layout.leaf(row_index("sample"), &[]);
    let about = "what the names of the sample's members have before their first dot";
    layout.leaf(Feature::new(KEY, DType::String, Vec::new()).with_meta(meta::DESCRIPTION, about), &[]);
    let (mut targets, mut firsts) = (Vec::new(), BTreeMap::new());
    for idx in needed {
        firsts.insert(*idx, layout.features().len());
        targets.push(Target::compile(&fields[*idx], &mut layout)?);
    }
    Ok((layout, targets, firsts))
}

impl Table {
    /// Appends the values of a sample.
    ///
    /// # Errors
    /// The first member that cannot be used.
    pub(crate) fn push(
        &self,
        columns: &mut Columns,
        sample: &Sample,
        archive: &Archive,
        bounds: Bounds,
    ) -> Result<(), Unusable> {
        columns.push_bytes(KEY_LEAF, sample.key.as_bytes());
        let mut found: Vec<Option<&Field>> = vec![None; self.targets.len()];
        for field in &sample.fields {
            // Whatever is not selected is not looked at.
            if let Some(idx) = self.by_field.get(&field.name) {
                found[*idx] = Some(field);
            }
        }
        for (target, field) in self.targets.iter().zip(found) {
            let Some(field) = field else {
                target.push_absent(columns);
                continue;
            };
            let pushed = archive.read(&field.data).and_then(|it| target.push(columns, it, bounds));
            pushed.map_err(|err| Unusable { field: field.clone(), err })?;
        }
        Ok(())
    }

    /// The selected ones of all columns of a batch, and what the pictures and clips in them are.
    pub(crate) fn finish(&self, all: &[ArrayRef]) -> (Vec<ArrayRef>, Vec<MediaShape>) {
        let kept: Vec<ArrayRef> = self.kept.iter().map(|it| Arc::clone(&all[*it])).collect();
        let is_media = |it: usize| self.layout.feature(LeafId(it)).storage == Storage::EncodedMedia;
        let media = self.kept.iter().enumerate().filter(|(_, leaf)| is_media(**leaf));
        let pixels = media.flat_map(|(column, _)| media_shapes(column, &kept[column])).collect();
        (kept, pixels)
    }
}
