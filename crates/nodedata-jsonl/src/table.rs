//! The columns of a row.

use std::{collections::BTreeSet, sync::Arc};

use arrow_schema::SchemaRef;
use nodedata_core::{
    Error, ErrorKind, Layout, LeafId, OpenOptions, Result, Storage, StreamKind, StreamSchema, free_name,
    suggest,
};
use nodedata_message::{JsonKind, JsonType, MessageDecoder};
use nodedata_steps::{
    Column, check_dealt_column, check_names, name_of_sample, own_name_of_sample, row_index, samples_schema,
    select,
};

use crate::{
    own_keys::{have_one_value, own_keys},
    references::References,
};

/// The columns of a row.
pub(crate) struct Table {
    /// All columns that are decoded, of which the first is the step index.
    pub(crate) layout: Arc<Layout>,
    pub(crate) decoder: MessageDecoder,
    /// Positions of those that were selected, in order.
    pub(crate) kept: Vec<usize>,
    /// Of a batch.
    pub(crate) schema: SchemaRef,
    /// By field of [`References`], the position of its column.
    pub(crate) media: Vec<usize>,
}

/// The columns of records of these types, or of their bytes; the stream of those that are selected; and the
/// names of the others.
///
/// # Errors
/// `Config` for names that are not there, and for a field that cannot refer to media; `Limit`.
pub(crate) fn table(
    types: Option<&JsonType>,
    options: &OpenOptions,
    references: &References,
) -> Result<(Table, StreamSchema, Vec<String>)> {
    let mut layout = Layout::default();
    layout.leaf(row_index("line"), &[]);
    let mut media = Vec::new();
    let decoder = match types {
        Some(types) => {
            check_embedded(types, options)?;
            let mut types = types.clone();
            for path in references.paths() {
                refer(&mut types, path, references.allows_missing());
                media.push(1 + leaf_at(&types, path).unwrap_or(0));
            }
            let decoder = types.compile(&mut layout)?;
            name_columns(&mut layout, &types);
            decoder
        }
        None => MessageDecoder::opaque(&mut layout),
    };
    let columns: Vec<Column<usize>> = layout
        .features()
        .enumerate()
        .map(|(origin, feature)| Column { feature: feature.clone(), origin })
        .collect();
    check_names(&columns[1..], &[], options)?;
    if let Some(types) = types {
        let names = columns[1..].iter().map(|it| it.feature.name.as_str());
        let names = names.zip(have_one_value(types));
        check_dealt_column(options, "row has the field", "it is many values, of the items of a list", names)?;
    }
    let all = OpenOptions { undecoded: Vec::new(), ..options.clone() };
    let (columns, unselected) = select(columns, &all, |it| (it.origin != 0).then(|| it.feature.name.clone()));
    let steps = samples_schema(columns.iter().map(|it| it.feature.clone()).collect());
    let kept = columns.iter().map(|it| it.origin).collect();
    let table = Table { layout: Arc::new(layout), decoder, kept, schema: steps.arrow(), media };
    Ok((table, steps, unselected))
}

impl Table {
    /// Whether a column holds media.
    pub(crate) fn is_media(&self, position: usize) -> bool {
        self.layout.feature(LeafId(position)).storage == Storage::EncodedMedia
    }
}

/// A field that is called as a column of the table's own becomes `source.<name>`, as in every format of steps.
fn name_columns(layout: &mut Layout, types: &JsonType) {
    let mut names: BTreeSet<String> = layout.features().map(|it| it.name.clone()).collect();
    for (idx, key) in own_keys(types).into_iter().enumerate() {
        let Some(key) = key.filter(|it| StreamKind::Samples.has_built_in(it)) else { continue };
        let name = free_name(&name_of_sample(key), |it| names.contains(it));
        names.insert(name.clone());
        layout.feature_mut(LeafId(1 + idx)).name = name;
    }
}

/// Checks that every field that is to be embedded is one that refers to media: text, or lists of text.
fn check_embedded(types: &JsonType, options: &OpenOptions) -> Result<()> {
    let texts = text_paths(types);
    for name in options.embed.keys() {
        let path = own_name_of_sample(name);
        let message = match texts.iter().filter(|it| *it == path).count() {
            1 => continue,
            0 => match kind_at(types, path) {
                Some(other) => {
                    format!(
                        "`{name}` in `embed` is {} in the rows, and no text that refers to files",
                        told(other)
                    )
                }
                None => format!("no row has the field `{name}` in `embed`"),
            },
            n => format!("`{name}` in `embed` is the name of {n} fields, whose keys have dots"),
        };
        return Err(
            Error::new(ErrorKind::Config, message).with_hint(suggest(name, texts.iter().map(String::as_str)))
        );
    }
    Ok(())
}

fn told(kind: &JsonKind) -> &'static str {
    match kind {
        JsonKind::Json => "JSON text, because it is of several kinds or nothing but null,",
        JsonKind::Object(_) => "an object",
        JsonKind::Bool | JsonKind::Int64 | JsonKind::UInt64 | JsonKind::Float64 | JsonKind::Bytes => {
            "a number"
        }
        JsonKind::String | JsonKind::List(_) | JsonKind::Media => "text",
    }
}

/// What lies at a dotted path, through lists on the way and at its end.
fn kind_at<'t>(types: &'t JsonType, path: &str) -> Option<&'t JsonKind> {
    match &types.kind {
        JsonKind::List(item) => kind_at(item, path),
        JsonKind::Object(members) if !path.is_empty() => {
            members.iter().find_map(|it| kind_at(&it.value, below(path, &it.key)?))
        }
        other => path.is_empty().then_some(other),
    }
}

/// Makes what lies at a path a reference.
fn refer(types: &mut JsonType, path: &str, allows_missing: bool) -> bool {
    match &mut types.kind {
        JsonKind::List(item) => refer(item, path, allows_missing),
        JsonKind::Object(members) => members
            .iter_mut()
            .any(|it| below(path, &it.key).is_some_and(|rest| refer(&mut it.value, rest, allows_missing))),
        JsonKind::String if path.is_empty() => {
            types.kind = JsonKind::Media;
            types.nullable |= allows_missing;
            true
        }
        _ => false,
    }
}

/// Position of the column of what lies at a path.
fn leaf_at(types: &JsonType, path: &str) -> Option<usize> {
    match &types.kind {
        JsonKind::List(item) => leaf_at(item, path),
        JsonKind::Object(members) => {
            let mut n_before = 0;
            for member in members {
                if let Some(at) = below(path, &member.key).and_then(|rest| leaf_at(&member.value, rest)) {
                    return Some(n_before + at);
                }
                n_before += member.value.n_leaves();
            }
            None
        }
        JsonKind::Media => path.is_empty().then_some(0),
        _ => None,
    }
}

/// What is left of a path behind a key.
fn below<'p>(path: &'p str, key: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(key)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}

/// The paths of all texts.
pub(crate) fn text_paths(types: &JsonType) -> Vec<String> {
    fn walk(types: &JsonType, path: &str, found: &mut Vec<String>) {
        match &types.kind {
            JsonKind::List(item) => walk(item, path, found),
            JsonKind::Object(members) => {
                for member in members {
                    let dot = if path.is_empty() { "" } else { "." };
                    walk(&member.value, &format!("{path}{dot}{}", member.key), found);
                }
            }
            JsonKind::String => found.push(path.to_owned()),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(types, "", &mut found);
    found
}
