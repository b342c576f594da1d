use std::collections::{BTreeMap, BTreeSet};

use arrow_schema::SchemaRef;
use nodedata_arrow::Leaf;
use nodedata_core::{
    DType, Dim, Error, ErrorKind, Feature, Locus, OpenOptions, Result, Storage, StreamSchema, free_name,
};
use nodedata_steps::{
    check_dealt_field, check_names, check_undecoded, name_of_sample, row_index, samples_schema, select,
};

use crate::{deal::field_of, embed::Embedded};

/// Where the values of a column come from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// The position of the row among those of its file and split.
    StepIndex,
    /// A column of the files.
    Leaf(Leaf),
}

/// A column of the table.
pub(crate) type Column = nodedata_steps::Column<Origin>;

/// The columns of a row.
pub(crate) struct Table {
    /// Those with names of files, whose media come in their place.
    pub(crate) embedded: Vec<Embedded>,
    /// Those that were selected, in order.
    pub(crate) columns: Vec<Column>,
    /// Of a batch.
    pub(crate) schema: SchemaRef,
    /// The column that rows are dealt by, whether or not it was selected.
    pub(crate) dealt_by: Option<Column>,
}

/// Where the leaves of a file lie: the columns, and the members below each.
pub(crate) type Ways = BTreeMap<String, BTreeSet<Vec<String>>>;

/// The ways to these leaves.
pub(crate) fn ways(leaves: &[Leaf]) -> Ways {
    let mut ways = Ways::new();
    for leaf in leaves {
        ways.entry(leaf.root.clone()).or_default().insert(leaf.members.clone());
    }
    ways
}

/// Whether a file has a leaf: the same column may be of other members elsewhere.
pub(crate) fn has_leaf(ways: &Ways, leaf: &Leaf) -> bool {
    ways.get(&leaf.root).is_some_and(|it| it.contains(&leaf.members))
}

/// Columns that a hint names one by one.
const NAMED_MAX: usize = 8;

/// What a column of the source's own is called: one that the table has for itself is prefixed, as in every format of steps, and
/// no two are called alike.
pub(crate) fn own_name(name: &str, names: &mut BTreeSet<String>) -> String {
    let name = free_name(&name_of_sample(name), |it| names.contains(it));
    names.insert(name.clone());
    name
}

impl Table {
    /// The columns of these leaves; the stream of those that are selected; and the names of the others.
    ///
    /// # Errors
    /// `Config` for a name that no column has; `Unsupported` for a column that no feature can hold, and `Limit` for one whose shape takes
    /// more in each row than a record may have, unless it is left out.
    pub(crate) fn new(
        leaves: Vec<Leaf>,
        embedded: Vec<Embedded>,
        options: &OpenOptions,
    ) -> Result<(Self, StreamSchema, Vec<String>)> {
        let mut names = BTreeSet::new();
        let mut all = vec![Column { feature: row_index("row"), origin: Origin::StepIndex }];
        for leaf in leaves {
            let mut feature = leaf.feature();
            feature.name = own_name(&feature.name, &mut names);
            all.push(Column { feature, origin: Origin::Leaf(leaf) });
        }
        check_names(&all[1..], &[], options)?;
        check_undecoded(&[], options)?;
        let dealt_by = dealt_by(&all[1..], options)?;
        let row_bytes_max = options.record_bytes_max;
        let is_readable = |it: &&Column| it.check(row_bytes_max).is_ok();
        let readable: Vec<String> = all[1..].iter().filter(is_readable).map(name_of).collect();
        let (columns, unselected) = select(all, options, |it| match &it.origin {
            Origin::StepIndex => None,
            Origin::Leaf(_) => Some(it.feature.name.clone()),
        });
        check_all(&columns, &readable, row_bytes_max)?;
        let steps = samples_schema(columns.iter().map(|it| it.feature.clone()).collect());
        Ok((Self { embedded, columns, schema: steps.arrow(), dealt_by }, steps, unselected))
    }

    /// Which of the fields that name files a column is.
    pub(crate) fn field_of(&self, leaf: &Leaf) -> Option<usize> {
        let is_it = |it: &&Embedded| it.leaf.root == leaf.root && it.leaf.members == leaf.members;
        self.embedded.iter().find(is_it).map(|it| it.field)
    }

    /// Bytes in each row of the nulls of columns that a file does not have.
    pub(crate) fn lacked_bytes(&self, ways: &Ways) -> u64 {
        let lacked = self.columns.iter().filter(|it| match &it.origin {
            Origin::StepIndex => false,
            Origin::Leaf(leaf) => !has_leaf(ways, leaf),
        });
        lacked.map(|it| null_bytes(&it.feature)).fold(0, u64::saturating_add)
    }
}

/// Bytes of a null: lists of fixed length hold all their items even where there is no list.
fn null_bytes(feature: &Feature) -> u64 {
    let fixed = feature.dims().iter().map_while(|it| match it {
        Dim::Fixed(n) => Some(u64::from(*n)),
        Dim::Variable => None,
    });
    // Text, bytes and lists of any length have an offset.
    let width = match feature.stored_dtype() {
        _ if feature.dims().contains(&Dim::Variable) => 4,
        DType::Bool => 1,
        other => other.byte_width().unwrap_or(4) as u64,
    };
    fixed.fold(width, u64::saturating_mul)
}

trait Check {
    fn check(&self, row_bytes_max: u64) -> Result<()>;
}

impl Check for Column {
    fn check(&self, row_bytes_max: u64) -> Result<()> {
        let Origin::Leaf(leaf) = &self.origin else { return Ok(()) };
        leaf.check()?;
        let n_bytes = null_bytes(&self.feature);
        if n_bytes <= row_bytes_max {
            return Ok(());
        }
        let (name, told) = (leaf.name(), self.feature.told());
        let message = format!(
            "column `{name}` is {told} in each row, {n_bytes} bytes, more than the {row_bytes_max} of one record"
        );
        Err(Error::new(ErrorKind::Limit, message).at(Locus::feature(name)))
    }
}

fn name_of(column: &Column) -> String {
    column.feature.name.clone()
}

/// Columns that no feature can hold, or no row, all of them in one error.
fn check_all(columns: &[Column], readable: &[String], row_bytes_max: u64) -> Result<()> {
    let mut failures = columns.iter().filter_map(|it| it.check(row_bytes_max).err());
    let Some(first) = failures.next() else { return Ok(()) };
    let names: Vec<String> = readable.iter().take(NAMED_MAX).map(|it| format!("--topic {it}")).collect();
    let hint = match names.len() {
        0 => "the file has no other columns".to_owned(),
        n if n == readable.len() => format!("take the other columns: `{}`", names.join(" ")),
        _ => format!("name the columns to take: `{} …`", names.join(" ")),
    };
    Err(first.with_others(failures.map(|it| it.to_string())).with_hint(hint))
}

fn dealt_by(all: &[Column], options: &OpenOptions) -> Result<Option<Column>> {
    let names = all.iter().map(|it| it.feature.name.as_str());
    check_dealt_field(options, "row has the field", names)?;
    let name = options.deal.as_ref().and_then(field_of);
    let Some(column) = name.and_then(|name| all.iter().find(|it| it.feature.name == name)) else {
        return Ok(None);
    };
    if column.feature.storage != Storage::Plain {
        let message = format!("rows cannot be dealt by `{}`, which is a medium", column.feature.name);
        return Err(Error::new(ErrorKind::Config, message)
            .with_hint("deal them by a column of numbers or text, or by `row`"));
    }
    column.check(options.record_bytes_max)?;
    let mut column = column.clone();
    // A null that nobody counted is found where the column is read, not where it is dealt by.
    column.feature.nullable = true;
    Ok(Some(column))
}
