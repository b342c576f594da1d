//! What a pass over all records comes to.

use std::{path::Path, sync::Arc};

use nodedata_core::{Error, ErrorKind, Finding, Findings, Locus, Result};
use nodedata_message::{JsonConflict, JsonType, Place, texts_at};

use crate::{
    format::MIXED,
    learned::{Conditions, LearnedRows, Mixed, Rows, VERSION},
    pass::{Found, Pass},
    record::record_of,
    records::Records,
    references::looks_like,
    table::text_paths,
};

/// Records that are looked at for texts that look like references, and fields that are.
const RECORDS_MAX: usize = 100;
const FIELDS_MAX: usize = 256;

/// Reads all records of all files.
///
/// # Errors
/// Those of [`Pass::run`]; `Corrupt` for fields of several kinds where these are refused.
pub(crate) fn learn(pass: &Pass<'_>, conditions: Conditions) -> Result<LearnedRows> {
    let mut found = pass.run()?;
    let mut findings = std::mem::take(&mut found.findings);
    let mut types = None;
    if conditions.decodes {
        let known = all_types(pass, &found, conditions.mixed, &mut findings)?;
        tell_raw(pass, &found, &mut findings)?;
        tell_references(pass, &found, &known, &mut findings)?;
        types = Some(known);
    }
    let rows = Rows::new(types, &found.named);
    Ok(LearnedRows::new(VERSION, conditions, pass.inputs, found.stretches, rows, findings.into_vec()))
}

fn all_types(pass: &Pass<'_>, found: &Found, mixed: Mixed, findings: &mut Findings) -> Result<JsonType> {
    let (types, conflicts) = found.inference.types();
    for conflict in &conflicts {
        let (message, at) = told(pass, found, conflict)?;
        if mixed == Mixed::Refuse {
            let hint = format!(
                "make the rows agree, or let `--set source.{}=json` keep the field as JSON text",
                MIXED.name
            );
            return Err(Error::new(ErrorKind::Corrupt, message).at(at).with_hint(hint));
        }
        let message = format!("{message}: it is kept as JSON text");
        findings.push(Finding { reason: "mixed_kinds".to_owned(), ..Finding::warning(message, at) });
    }
    Ok(types)
}

/// A conflict in words, and where the second kind is first met.
fn told(pass: &Pass<'_>, found: &Found, conflict: &JsonConflict) -> Result<(String, Locus)> {
    let mut kinds = conflict.kinds.clone();
    kinds.sort_by_key(|it| (it.1.input, it.1.at));
    let mut words = Vec::new();
    let mut at = Locus::default();
    for (kind, place) in kinds.into_iter().take(2) {
        let (line, byte, path) = address(pass, found, place)?;
        words.push(format!("{kind} in line {line} of {}", path.display()));
        at = Locus { byte_offset: Some(byte), feature: Some(conflict.field.clone()), ..Locus::path(path) };
    }
    Ok((format!("the field `{}` is {}", conflict.field, words.join(" and ")), at))
}

/// Line, first byte and file of a record.
fn address<'p>(pass: &Pass<'p>, found: &Found, place: Place) -> Result<(u64, u64, &'p Path)> {
    let path = pass.inputs[place.input as usize].path.as_path();
    let (line, byte) = pass.address(found, place).map_err(|err| err.at(Locus::path(path)))?;
    Ok((line, byte, path))
}

/// Says that values are kept as their own text.
fn tell_raw(pass: &Pass<'_>, found: &Found, findings: &mut Findings) -> Result<()> {
    let Some((n, place)) = found.raw else { return Ok(()) };
    let (line, byte, path) = address(pass, found, place)?;
    let message = format!(
        "{n} records have values that no reader of JSON holds as they are written, the first in line {line} of {}: \
         they are kept as their own text",
        path.display()
    );
    let at = Locus { byte_offset: Some(byte), ..Locus::path(path) };
    findings.push(Finding { reason: "kept_as_text".to_owned(), ..Finding::warning(message, at) });
    Ok(())
}

/// Says which fields look like references to media, as far as the first records tell, where nothing is embedded of them.
fn tell_references(pass: &Pass<'_>, found: &Found, types: &JsonType, findings: &mut Findings) -> Result<()> {
    let embedded = pass.references.paths();
    let mut paths = text_paths(types);
    paths.retain(|it| !embedded.contains(&it.as_str()));
    paths.truncate(FIELDS_MAX);
    let first = found.stretches.iter().enumerate().find_map(|(input, it)| Some((input, it.first()?)));
    let (Some((input, stretch)), false) = (first, paths.is_empty()) else { return Ok(()) };
    let path = &pass.inputs[input].path;
    let content = pass.contents.of(input)?;
    let texts: Vec<&str> = paths.iter().map(String::as_str).collect();
    let (text, range) = (Arc::clone(&content.text), stretch.records.clone());
    let mut records = Records::within(text, range, stretch.spot, pass.record_bytes_max);
    let mut seen: Vec<Option<(String, u64)>> = vec![None; paths.len()];
    for _ in 0..RECORDS_MAX {
        let record = records.next_record().map_err(|err| err.at(Locus::path(path)))?;
        let Some(record) = record else { break };
        for (field, value) in texts_at(record_of(&record), &texts).unwrap_or_default() {
            if seen[field].is_none() && !value.is_empty() {
                seen[field] = Some((value, record.line));
            }
        }
    }
    for (field, value) in paths.iter().zip(seen) {
        let Some((value, line)) = value.filter(|it| looks_like(&it.0)) else { continue };
        let short: String = value.chars().take(60).collect();
        let dots = if short.len() < value.len() { "…" } else { "" };
        let message = format!(
            "the field `{field}` looks like references to media, such as `{short}{dots}`: it stays text"
        );
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let at = Locus { line_column: Some((line, 1)), feature: Some(field.clone()), ..Locus::path(path) };
        let hint = format!(
            "`--embed {field}=path`, or `source.embed: {{{field}: path}}` of a pipeline, puts the media in its place"
        );
        let warning = Finding::warning(message, at).with_hint(hint);
        findings.push(Finding { reason: "references".to_owned(), ..warning });
    }
    Ok(())
}
