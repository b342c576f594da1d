use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use arrow_schema::SchemaRef;
use nodedata_core::{
    Columns, DType, Dim, Error, ErrorKind, Feature, Layout, LeafId, Level, ListId, Locus, OpenOptions,
    Result, StreamSchema, free_name,
};
use nodedata_steps::{
    Column, check_dealt_field, check_names, check_undecoded, name_of_sample, row_index, samples_schema,
    select,
};

use super::{
    learned::column_name,
    seen_keys::{Kind, LearnedKey},
};
use crate::example::{ListKind, Values, entries};

/// The columns of a row that is a record.
pub(super) struct Table {
    pub(super) layout: Arc<Layout>,
    /// Of a batch.
    pub(super) schema: SchemaRef,
    by_key: HashMap<String, usize>,
    /// By column that has values of a key: those that were selected.
    targets: Vec<Target>,
}

/// The column of a key.
struct Target {
    key: String,
    id: LeafId,
    kind: ListKind,
    is_text: bool,
    /// As many values as every record has, or a list of them.
    size: Result<u32, ListId>,
    is_optional: bool,
}

/// Where a column comes from.
#[derive(Clone)]
enum Origin {
    StepIndex,
    Key(usize),
}

/// The columns of the selected keys, the stream of them, and the names of the others.
///
/// # Errors
/// `Config` for names that are not there; `Unsupported` for a key whose values are of several kinds.
pub(super) fn table(
    keys: &[LearnedKey],
    options: &OpenOptions,
) -> Result<(Table, StreamSchema, Vec<String>)> {
    check_undecoded(&[], options)?;
    let mut all = vec![Column { feature: row_index("record"), origin: Origin::StepIndex }];
    let mut taken = BTreeSet::new();
    for (idx, key) in keys.iter().enumerate() {
        let own = column_name(&key.key);
        let name = free_name(&name_of_sample(&own), |it| taken.contains(it));
        taken.insert(name.clone());
        all.push(Column { feature: feature(key, &name), origin: Origin::Key(idx) });
    }
    check_names(&all[1..], &[], options)?;
    let names: Vec<String> = keys.iter().map(|it| column_name(&it.key)).collect();
    check_dealt_field(options, "record has the key", names.iter().map(String::as_str))?;
    let (kept, unselected) = select(all, options, |it| match it.origin {
        Origin::StepIndex => None,
        Origin::Key(_) => Some(it.feature.name.clone()),
    });
    let mut layout = Layout::default();
    let mut targets = Vec::new();
    for Column { feature, origin } in &kept {
        let Origin::Key(idx) = origin else {
            layout.leaf(feature.clone(), &[]);
            continue;
        };
        let key = &keys[*idx];
        if let Some(conflict) = &key.conflict {
            let message = format!("`{}` {conflict}", feature.name);
            return Err(Error::new(ErrorKind::Unsupported, message)
                .at(Locus::feature(&feature.name))
                .with_hint("`--topic` with the names of the other features leaves it out"));
        }
        let size = key.size.ok_or_else(|| layout.list(&[], key.is_optional));
        let levels = match size {
            Ok(1) => Vec::new(),
            Ok(n) => vec![Level::Fixed(n)],
            Err(list) => vec![Level::List(list)],
        };
        let kind = match key.kind {
            Kind::Int => ListKind::Int,
            Kind::Float => ListKind::Float,
            Kind::Bytes | Kind::Text => ListKind::Bytes,
        };
        targets.push(Target {
            key: key.key.clone(),
            id: layout.leaf(feature.clone(), &levels),
            kind,
            is_text: key.kind == Kind::Text,
            size,
            is_optional: key.is_optional,
        });
    }
    let stream = samples_schema(kept.iter().map(|it| it.feature.clone()).collect());
    let by_key = targets.iter().enumerate().map(|(idx, it)| (it.key.clone(), idx)).collect();
    let table = Table { layout: Arc::new(layout), schema: stream.arrow(), by_key, targets };
    Ok((table, stream, unselected))
}

fn feature(key: &LearnedKey, name: &str) -> Feature {
    let dtype = match key.kind {
        Kind::Int => DType::Int64,
        Kind::Float => DType::Float32,
        Kind::Bytes => DType::Bytes,
        Kind::Text => DType::String,
    };
    let shape = match key.size {
        Some(1) => Vec::new(),
        Some(n) => vec![Dim::Fixed(n)],
        None => vec![Dim::Variable],
    };
    let feature = Feature::new(name, dtype, shape);
    if key.is_optional { feature.nullable() } else { feature }
}

impl Table {
    /// Appends the values of a record.
    ///
    /// # Errors
    /// `Corrupt` when it is no `Example`, or not what all records were found to be.
    pub(super) fn push(&self, columns: &mut Columns, record: &[u8]) -> Result<()> {
        let mut found: Vec<Option<Values>> = vec![None; self.targets.len()];
        entries(record, |key, values| {
            // Whatever is not selected is not looked at.
            if let Some(idx) = str::from_utf8(key).ok().and_then(|it| self.by_key.get(it)) {
                found[*idx] = Some(values);
            }
            Ok(())
        })?;
        for (target, values) in self.targets.iter().zip(found) {
            let values = values.unwrap_or_default();
            target
                .push(columns, record, &values)
                .map_err(|err| err.at(Locus::feature(column_name(&target.key))))?;
        }
        Ok(())
    }
}

impl Target {
    fn push(&self, columns: &mut Columns, record: &[u8], values: &Values) -> Result<()> {
        let n = values.count(record)?;
        let wrong = |message: String| Err(Error::new(ErrorKind::Corrupt, message));
        if let Some(kind) = values.kind().filter(|it| n > 0 && *it != self.kind) {
            return wrong(format!("the values are {}, expected {}", kind.name(), self.kind.name()));
        }
        match self.size {
            _ if n == 0 && self.is_optional => {
                match self.size {
                    Ok(_) => columns.push_null(self.id),
                    Err(list) => columns.push_null_list(list),
                }
                return Ok(());
            }
            Ok(size) if n != u64::from(size) => {
                return wrong(format!("{n} values where every record has {size}"));
            }
            Ok(_) => columns.push_valid(self.id),
            Err(list) => {
                columns.push_len(list, n as usize);
                columns.push_valid_n(self.id, n as usize);
            }
        }
        let mut cursor = values.cursor();
        match self.kind {
            ListKind::Float => cursor.floats(record, n as usize, |run| {
                columns.push_le(self.id, run);
                Ok(())
            }),
            ListKind::Int => cursor.ints(record, n as usize, |it| {
                columns.push_le(self.id, &it.to_le_bytes());
                Ok(())
            }),
            ListKind::Bytes => (0..n).try_for_each(|_| {
                let bytes = cursor.bytes(record)?;
                if self.is_text {
                    crate::numbers::text(bytes)?;
                }
                columns.push_bytes(self.id, bytes);
                Ok(())
            }),
        }
    }
}
