//! Fields that look like references to media, of which nothing is embedded.

use std::{collections::BTreeMap, sync::Arc};

use nodedata_core::{Finding, Findings, Locus, Result};
use nodedata_message::{JsonKind, JsonType, texts_at};
use nodedata_steps::looks_like;
use serde_json::Value;

use crate::{
    pass::{Found, Pass},
    record::record_of,
    records::Records,
    table::{is_within_json, text_paths},
};

/// Records that are looked at for texts that look like references, and fields that are.
const RECORDS_MAX: usize = 100;
const FIELDS_MAX: usize = 256;
/// Bytes of a record within whose JSON text is looked: as values it takes many times as much.
const VALUES_BYTES_MAX: usize = 1 << 20;

/// By field, the first text of it that is not empty, and its line.
type FirstTexts = BTreeMap<String, (String, u64)>;

/// Says which fields look like references to media, as far as the first records tell, where nothing is embedded of them.
///
/// # Errors
/// `Io`.
pub(crate) fn tell_references(
    pass: &Pass<'_>,
    found: &Found,
    types: &JsonType,
    findings: &mut Findings,
) -> Result<()> {
    let embedded = pass.references.paths();
    let mut paths = text_paths(types);
    paths.retain(|it| !embedded.contains(&it.as_str()));
    paths.truncate(FIELDS_MAX);
    let first = found.stretches.iter().enumerate().find_map(|(input, it)| Some((input, it.first()?)));
    let has_json = has_json(types);
    let has_any = has_json || !paths.is_empty();
    let Some((input, stretch)) = first.filter(|_| has_any) else { return Ok(()) };
    let path = &pass.inputs[input].path;
    let content = pass.contents.of(input)?;
    let texts: Vec<&str> = paths.iter().map(String::as_str).collect();
    let (text, range) = (Arc::clone(&content.text), stretch.records.clone());
    let mut records = Records::within(text, range, stretch.spot, pass.record_bytes_max);
    let mut seen: Vec<Option<(String, u64)>> = vec![None; paths.len()];
    let mut within = FirstTexts::new();
    for _ in 0..RECORDS_MAX {
        let record = records.next_record().map_err(|err| err.at(Locus::path(path)))?;
        let Some(record) = record else { break };
        let text = record_of(&record);
        for (field, value) in texts_at(text, &texts).unwrap_or_default() {
            if seen[field].is_none() && !value.is_empty() {
                seen[field] = Some((value, record.line));
            }
        }
        if has_json
            && text.len() <= VALUES_BYTES_MAX
            && let Ok(value) = serde_json::from_slice(text)
        {
            texts_within_json(types, &value, "", record.line, &mut within);
        }
    }
    let plain = paths.into_iter().zip(seen).filter_map(|(field, it)| Some((field, it?)));
    // What is text in itself is told first, in the order of columns.
    let within = within.into_iter().filter(|it| !embedded.contains(&it.0.as_str()));
    for (field, (value, line)) in plain.chain(within).filter(|it| looks_like(&it.1.0)) {
        let short: String = value.chars().take(60).collect();
        let dots = if short.len() < value.len() { "…" } else { "" };
        let message = format!(
            "the field `{field}` looks like references to media, such as `{short}{dots}`: it stays text"
        );
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let at = Locus { line_column: Some((line, 1)), feature: Some(field.clone()), ..Locus::path(path) };
        let puts = if is_within_json(types, &field) { "beside it" } else { "in its place" };
        let hint = format!(
            "`--embed {field}=path`, or `source.embed: {{{field}: path}}` of a pipeline, puts the media {puts}"
        );
        let warning = Finding::warning(message, at).with_hint(hint);
        findings.push(Finding { reason: "references".to_owned(), ..warning });
    }
    Ok(())
}

/// Whether any value is JSON text.
fn has_json(types: &JsonType) -> bool {
    match &types.kind {
        JsonKind::List(item) => has_json(item),
        JsonKind::Object(members) => members.iter().any(|it| has_json(&it.value)),
        other => matches!(other, JsonKind::Json),
    }
}

/// Notes the texts of a record that lie within JSON text, below a key of it.
fn texts_within_json(types: &JsonType, value: &Value, path: &str, line: u64, found: &mut FirstTexts) {
    match (&types.kind, value) {
        (JsonKind::List(item), Value::Array(values)) => {
            values.iter().for_each(|it| texts_within_json(item, it, path, line, found));
        }
        (JsonKind::Object(members), Value::Object(values)) => {
            for member in members {
                if let Some(value) = values.get(&member.key) {
                    texts_within_json(&member.value, value, &joined(path, &member.key), line, found);
                }
            }
        }
        (JsonKind::Json, value) => texts_below(value, path, false, line, found),
        _ => {}
    }
}

fn texts_below(value: &Value, path: &str, is_below_key: bool, line: u64, found: &mut FirstTexts) {
    match value {
        Value::Array(values) => {
            values.iter().for_each(|it| texts_below(it, path, is_below_key, line, found));
        }
        Value::Object(values) => {
            values.iter().for_each(|(key, it)| texts_below(it, &joined(path, key), true, line, found));
        }
        Value::String(text) if is_below_key && !text.is_empty() && found.len() < FIELDS_MAX => {
            found.entry(path.to_owned()).or_insert_with(|| (text.clone(), line));
        }
        _ => {}
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
