//! What a pass over all records comes to.

use std::path::Path;

use nodedata_core::{Error, ErrorKind, Finding, Findings, Locus, Result};
use nodedata_message::{JsonConflict, JsonType, Place};

use crate::{
    format::MIXED,
    hints::tell_references,
    learned::{Conditions, LearnedRows, Mixed, Rows, VERSION},
    pass::{Found, Pass},
    table::is_within_json,
};

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
    let is_beside = |field: usize, path: &str| {
        let is_within = types.as_ref().is_some_and(|it| is_within_json(it, path));
        is_within && found.met.contains(&field)
    };
    let paths = pass.references.paths();
    let beside = paths.into_iter().enumerate().filter(|it| is_beside(it.0, it.1));
    let beside = beside.map(|it| it.1.to_owned()).collect();
    let rows = Rows::new(types, &found.named, beside);
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
