use std::collections::BTreeMap;

use nodedata_core::{
    patterns::check_pattern,
    placed::{Node, Place, Value},
    suggest,
};
use nodedata_normalize::{
    DropSteps, EpisodeColumn, EpisodeList, EpisodeName, FactType, Idle, Join, ListTable, MetadataFrom,
    Missing, PathMetadata, Speed, TableFile, TableMetadata, Take, TopicMetadata, Trim,
};

use super::{
    read::{Reader, choice, text, texts},
    stages::{EpisodesStage, TableAsked, TableOf},
    steps::nanos,
};

/// Keys of an entry that belong to where it takes metadata from.
const OWN: [(&str, &[&str]); 3] = [
    ("path", &["types"]),
    ("topic", &["name", "take", "type"]),
    ("table", &["key", "equals", "columns", "types"]),
];

/// What becomes of whole episodes.
pub(super) fn read(reader: &mut Reader<'_>) -> EpisodesStage {
    let mut stage = EpisodesStage::default();
    let Some(node) = reader.root.get("episodes") else { return stage };
    stage.spec.join = node.get("join").and_then(|it| join(reader, it));
    stage.spec.trim = node.get("trim").map(|it| trim(reader, it)).unwrap_or_default();
    stage.spec.drop_steps = node
        .get("drop_steps")
        .map(Node::members)
        .unwrap_or_default()
        .iter()
        .map(|it| DropSteps { column: it.key.clone(), values: texts(&it.node) })
        .collect();
    stage.spec.include = list(reader, node, "include", TableOf::Include, &mut stage.tables);
    stage.spec.exclude = list(reader, node, "exclude", TableOf::Exclude, &mut stage.tables);
    let min_steps = node.get("min_steps").and_then(Node::integer);
    stage.spec.min_steps = min_steps.and_then(|it| u64::try_from(it).ok());
    stage.spec.min_ns = node.get("min_s").and_then(Node::number).map(|it| nanos(it * 1e3));
    let entries = node.get("metadata").map(Node::items).unwrap_or_default();
    for (idx, entry) in entries.iter().enumerate() {
        let at = format!("episodes.metadata[{idx}]");
        stage.spec.metadata.extend(metadata(reader, entry, &at, idx, &mut stage.tables));
    }
    stage.spec.columns = node
        .get("columns")
        .map(renamed)
        .unwrap_or_default()
        .into_iter()
        .map(|(name, metadata)| EpisodeColumn { name, metadata })
        .collect();
    // Where an entry is none, the others have other positions.
    let found = if stage.spec.metadata.len() == entries.len() { stage.spec.mistakes() } else { Vec::new() };
    for mistake in found {
        if let Place::Key(key) = &mistake.place {
            reader.add(key, mistake.message, mistake.hint.unwrap_or_default());
        }
    }
    stage
}

/// Names with what they are names of: of a list, themselves.
fn renamed(node: &Node) -> Vec<(String, String)> {
    match &node.value {
        Value::Map(members) => {
            members.iter().filter_map(|it| Some((it.key.clone(), it.node.text()?))).collect()
        }
        _ => texts(node).into_iter().map(|it| (it.clone(), it)).collect(),
    }
}

fn join(reader: &mut Reader<'_>, node: &Node) -> Option<Join> {
    let pattern = text(node, "pattern").map(Join::Pattern);
    let gap = node.get("gap_ms").and_then(Node::number).map(|it| Join::Gap(nanos(it)));
    match (pattern, gap) {
        (Some(join), None) | (None, Some(join)) => Some(join),
        (found, _) => {
            let message = match found {
                None => "`episodes.join` does not say which files are one recording",
                Some(_) => "files are joined by `pattern` and by `gap_ms`",
            };
            reader.add("episodes.join", message, "write `pattern` or `gap_ms`");
            None
        }
    }
}

fn trim(reader: &mut Reader<'_>, node: &Node) -> Trim {
    let seconds = |node: &Node, key: &str| node.get(key).and_then(Node::number).map(|it| nanos(it * 1e3));
    let idle = node.get("idle").map(|it| Idle {
        field: text(it, "field").unwrap_or_default(),
        below: Speed(it.get("below").and_then(Node::number).unwrap_or_default()),
        keep_ns: seconds(it, "keep_s").unwrap_or_default(),
        stretches_ns: seconds(it, "stretches_s"),
    });
    let (start_ns, end_ns) = (seconds(node, "start_s"), seconds(node, "end_s"));
    if start_ns.is_none() && end_ns.is_none() && idle.is_none() {
        let hint = "write `start_s`, `end_s` or `idle`";
        reader.add("episodes.trim", "`episodes.trim` leaves out nothing", hint);
    }
    Trim { start_ns: start_ns.unwrap_or_default(), end_ns: end_ns.unwrap_or_default(), idle }
}

fn list(
    reader: &mut Reader<'_>,
    node: &Node,
    key: &str,
    of: TableOf,
    tables: &mut Vec<TableAsked>,
) -> Option<EpisodeList> {
    let node = node.get(key)?;
    if !matches!(node.value, Value::Map(_)) {
        let names = texts(node);
        for (idx, name) in names.iter().enumerate() {
            if let Err(err) = check_pattern(name) {
                let hint = err.hint().unwrap_or_default().to_owned();
                reader.add(&format!("episodes.{key}[{idx}]"), err.to_string(), hint);
            }
        }
        return Some(EpisodeList { names, table: None });
    }
    let path = text(node, "table").unwrap_or_default();
    let equals = equals(reader, node, &format!("episodes.{key}"), &[]);
    tables.push(TableAsked {
        of,
        path: reader.beside(&path),
        columns: Some(Vec::new()),
        types: BTreeMap::new(),
    });
    let table = ListTable {
        file: TableFile { path, b3: String::new() },
        key: text(node, "key").unwrap_or_default(),
        equals,
        missing: missing(node),
        names: Vec::new(),
    };
    Some(EpisodeList { names: Vec::new(), table: Some(table) })
}

fn metadata(
    reader: &mut Reader<'_>,
    node: &Node,
    at: &str,
    idx: usize,
    tables: &mut Vec<TableAsked>,
) -> Option<MetadataFrom> {
    let ways: Vec<&str> = OWN.iter().map(|it| it.0).filter(|it| node.get(it).is_some()).collect();
    let [way] = ways.as_slice() else {
        let message = match ways.as_slice() {
            [] => "the entry does not say where metadata are from".to_owned(),
            [one, other, ..] => format!("the entry takes metadata from a `{one}` and from a `{other}`"),
            [_] => return None,
        };
        reader.add(at, message, "write one of `path`, `topic` and `table` in each entry");
        return None;
    };
    let own = OWN.iter().find(|it| it.0 == *way).map_or(&[][..], |it| it.1);
    for key in OWN.iter().flat_map(|it| it.1).filter(|it| node.get(it).is_some() && !own.contains(it)) {
        let message = format!("`{key}` has no meaning with `{way}`");
        reader.add(&format!("{at}.{key}"), message, "remove it");
    }
    let types = types(node);
    Some(match *way {
        "path" => {
            let pattern = text(node, "path").unwrap_or_default();
            MetadataFrom::Path(PathMetadata { pattern, types, missing: missing(node) })
        }
        "topic" => {
            if node.get("name").is_none() {
                reader.add(at, "the value of the topic has no `name`", "add `name: task`");
            }
            MetadataFrom::Topic(TopicMetadata {
                from: text(node, "topic").unwrap_or_default(),
                name: text(node, "name").unwrap_or_default(),
                take: match choice(node, "take").as_deref() {
                    Some("last") => Take::Last,
                    Some("latched") => Take::Latched,
                    _ => Take::First,
                },
                dtype: choice(node, "type").and_then(|it| FactType::from_name(&it)),
                missing: missing(node),
            })
        }
        _ => {
            if node.get("key").is_none() {
                let hint = "add `key: episode`, the column that says which episode a row is about";
                reader.add(at, "the table has no `key`", hint);
            }
            let before: Vec<String> = earlier(reader, idx);
            let equals = equals(reader, node, at, &before);
            let path = text(node, "table").unwrap_or_default();
            let columns = node.get("columns").map(renamed);
            tables.push(TableAsked {
                of: TableOf::Metadata(idx),
                path: reader.beside(&path),
                columns: columns.clone(),
                types: types.clone(),
            });
            // Types of columns come with the rows; until then those are known that are named.
            let columns = columns.unwrap_or_default().into_iter();
            let columns = columns.map(|(name, _)| {
                let dtype = types.get(&name).copied().unwrap_or(FactType::Text);
                (name, dtype)
            });
            MetadataFrom::Table(TableMetadata {
                file: TableFile { path, b3: String::new() },
                key: text(node, "key").unwrap_or_default(),
                equals,
                columns: columns.collect(),
                missing: missing(node),
                rows: BTreeMap::new(),
            })
        }
    })
}

/// Names of metadata that entries before this one tell, as far as the file says them.
fn earlier(reader: &Reader<'_>, idx: usize) -> Vec<String> {
    let entries = reader.root.get("episodes").and_then(|it| it.get("metadata")).map(Node::items);
    let entries = entries.unwrap_or_default().iter().take(idx);
    let names = entries.flat_map(|it| {
        let of_path = text(it, "path").map(|pattern| {
            let types = BTreeMap::new();
            MetadataFrom::Path(PathMetadata { pattern, types, missing: Missing::Null }).names()
        });
        let of_table = it.get("columns").map(renamed).unwrap_or_default().into_iter().map(|it| it.0);
        let own: Vec<String> = of_path.unwrap_or_default().into_iter().chain(text(it, "name")).collect();
        own.into_iter().chain(of_table)
    });
    names.collect()
}

fn equals(reader: &mut Reader<'_>, node: &Node, at: &str, before: &[String]) -> EpisodeName {
    let Some(word) = text(node, "equals") else { return EpisodeName::Key };
    match word.as_str() {
        "key" => EpisodeName::Key,
        "recording" => EpisodeName::Recording,
        "file" => EpisodeName::File,
        "stem" => EpisodeName::Stem,
        other => {
            let name = other.strip_prefix("metadata.");
            if let Some(name) = name.filter(|it| before.iter().any(|one| one == it)) {
                return EpisodeName::Metadata(name.to_owned());
            }
            let words = ["key", "recording", "file", "stem"].map(str::to_owned).into_iter();
            let words: Vec<String> = words.chain(before.iter().map(|it| format!("metadata.{it}"))).collect();
            let hint = suggest(other, words.iter().map(String::as_str));
            reader.add(&format!("{at}.equals"), format!("`{at}.equals` is `{other}`"), hint);
            EpisodeName::Key
        }
    }
}

fn missing(node: &Node) -> Missing {
    match choice(node, "missing").as_deref() {
        Some("null") => Missing::Null,
        _ => Missing::Error,
    }
}

fn types(node: &Node) -> BTreeMap<String, FactType> {
    let members = node.get("types").map(Node::members).unwrap_or_default();
    members.iter().filter_map(|it| Some((it.key.clone(), FactType::from_name(&it.node.text()?)?))).collect()
}
