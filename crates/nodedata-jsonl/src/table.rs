//! The columns of a row.

use std::{collections::BTreeSet, sync::Arc};

use arrow_schema::SchemaRef;
use bytes::Bytes;
use nodedata_core::{
    Columns, DType, Error, ErrorKind, Feature, Layout, LeafId, Level, ListId, OpenOptions, Result, Storage,
    StreamKind, StreamSchema, free_name, suggest,
};
use nodedata_message::{JsonKind, JsonType, MessageDecoder};
use nodedata_steps::{
    Column, References, check_dealt_column, check_names, name_of_sample, own_name_of_sample, row_index,
    samples_schema, select,
};

use crate::{
    learned::Rows,
    own_keys::{have_one_value, own_keys},
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
    /// By field of [`References`], where its media go that JSON text names, which stays as it is.
    pub(crate) beside: Vec<Option<Beside>>,
}

/// A column beside JSON text: the media that the text of a row names, in their order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside {
    list: ListId,
    leaf: LeafId,
}

/// The columns of records that are what was learned, or of their bytes; the stream of those that are selected; and the
/// names of the others.
///
/// # Errors
/// `Config` for names that are not there, and for a field that cannot refer to media; `Limit`.
pub(crate) fn table(
    rows: &Rows,
    options: &OpenOptions,
    references: &References,
) -> Result<(Table, StreamSchema, Vec<String>)> {
    let mut layout = Layout::default();
    layout.leaf(row_index("line"), &[]);
    let (mut media, mut beside) = (Vec::new(), Vec::new());
    let types = rows.types.as_ref();
    let decoder = match types {
        Some(types) => {
            check_embedded(types, &rows.beside, options, references)?;
            let mut types = types.clone();
            for path in references.paths() {
                refer(&mut types, path, references.allows_missing());
            }
            let decoder = types.compile(&mut layout)?;
            name_columns(&mut layout, &types);
            for path in references.paths() {
                let within = leaf_at(&types, path);
                let added = within.is_none().then(|| Beside::new(&mut layout, path, references));
                media.push(added.map_or_else(|| 1 + within.unwrap_or(0), |it| it.leaf.0));
                beside.push(added);
            }
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
    let table = Table { layout: Arc::new(layout), decoder, kept, schema: steps.arrow(), media, beside };
    Ok((table, steps, unselected))
}

impl Table {
    /// Whether a column holds media.
    pub(crate) fn is_media(&self, position: usize) -> bool {
        self.layout.feature(LeafId(position)).storage == Storage::EncodedMedia
    }

    /// Whether the media of a field of [`References`] go beside the text that names them.
    pub(crate) fn is_beside(&self, field: usize) -> bool {
        self.beside.get(field).is_some_and(Option::is_some)
    }

    /// Pushes the media of a row that go beside its text, each with its field of [`References`], in their order; without bytes
    /// where it is null.
    pub(crate) fn push_beside(&self, media: &[(usize, Option<Bytes>)], columns: &mut Columns) {
        for (field, column) in self.beside.iter().enumerate() {
            let Some(Beside { list, leaf }) = *column else { continue };
            let mut n = 0;
            for (_, medium) in media.iter().filter(|it| it.0 == field) {
                match medium {
                    Some(bytes) => {
                        columns.push_bytes(leaf, bytes);
                        columns.push_valid(leaf);
                    }
                    None => columns.push_null(leaf),
                }
                n += 1;
            }
            columns.push_len(list, n);
        }
    }
}

impl Beside {
    /// Behind all other columns, under the name of its field.
    fn new(layout: &mut Layout, path: &str, references: &References) -> Self {
        let names: BTreeSet<String> = layout.features().map(|it| it.name.clone()).collect();
        let list = layout.list(&[], false);
        let levels = [Level::List(list)];
        let name = free_name(path, |it| names.contains(it));
        let mut feature = Feature::new(name, DType::Bytes, Vec::new());
        feature.storage = Storage::EncodedMedia;
        feature.lists = Layout::shape(&levels);
        feature.nullable = references.allows_missing();
        Self { list, leaf: layout.leaf(feature, &levels) }
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

/// Checks that every field that is to be embedded is one that refers to media: text, lists of text, or text within JSON text, where
/// the records have it.
fn check_embedded(
    types: &JsonType,
    beside: &[String],
    options: &OpenOptions,
    references: &References,
) -> Result<()> {
    let texts = text_paths(types);
    for name in options.embed.keys() {
        let path = own_name_of_sample(name);
        // What is not selected nobody has looked for.
        if is_within_json(types, path)
            && (beside.iter().any(|it| it == path) || !references.paths().contains(&path))
        {
            continue;
        }
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

/// Whether a path leads into JSON text, as where some rows have text and others a list of parts.
pub(crate) fn is_within_json(types: &JsonType, path: &str) -> bool {
    match &types.kind {
        JsonKind::List(item) => is_within_json(item, path),
        JsonKind::Object(members) => {
            members.iter().any(|it| below(path, &it.key).is_some_and(|rest| is_within_json(&it.value, rest)))
        }
        JsonKind::Json => !path.is_empty(),
        _ => false,
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
