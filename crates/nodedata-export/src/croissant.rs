use std::collections::BTreeMap;

use nodedata_core::STEPS;
use nodedata_registry::{
    attach::DpReport,
    record::{DataClass, FileRef, RevisionManifest, Sensitivity, ShardRef},
};
use nodedata_schema::{Fields, Schema};
use serde_json::{Map, Value, json};

use crate::data_types::{array_shape, croissant_type};

/// Longest description that is taken from a card, in letters.
const DESCRIPTION_CHARS_MAX: usize = 1000;

/// What a manifest does not say itself.
#[derive(Debug, Clone, Copy)]
pub struct CroissantFacts<'a> {
    /// When the revision was published: RFC 3339.
    pub published: &'a str,
    /// Where the files lie; relative paths when absent.
    pub base_url: Option<&'a str>,
    /// Reports of differential privacy that were attached.
    pub dp_reports: &'a [DpReport],
    /// The revision's shards, also those of a table.
    pub shards: &'a [ShardRef],
}

/// A revision as Croissant 1.1 with RAI: files with their SHA-256, one record set per stream, splits, licence,
/// terms of use, and what is known about personal data. `readme` is the card's text.
pub fn croissant(
    manifest: &RevisionManifest,
    schema: &Schema,
    readme: &str,
    facts: &CroissantFacts<'_>,
) -> Value {
    let mut document = Map::new();
    document.insert("@context".to_owned(), context());
    let date = facts.published.get(..10).unwrap_or(facts.published);
    let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
    put("@type", json!("sc:Dataset"));
    put(
        "conformsTo",
        json!(["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]),
    );
    put("name", json!(manifest.dataset.name()));
    put("description", json!(description(manifest, readme)));
    if let Some(license) = &manifest.license {
        put("license", json!(license_url(license)));
    }
    put("url", json!(page_url(manifest, facts)));
    put("version", json!(manifest.revision));
    put("datePublished", json!(date));
    put("creator", json!({"@type": "sc:Organization", "name": manifest.dataset.owner()}));
    put("publisher", json!({"@type": "sc:Organization", "name": manifest.dataset.owner()}));
    put("keywords", json!(manifest.tags.iter().chain(&manifest.modality).collect::<Vec<_>>()));
    put("citeAs", json!(cite_as(manifest, date)));
    put("isLiveDataset", json!(false));
    if let Some(price) = &manifest.price {
        put("offers", json!({"@type": "sc:Offer", "price": price.amount, "priceCurrency": price.currency}));
    }
    if let Some(terms) = &manifest.use_terms {
        let all: Vec<String> = terms.permit.iter().chain(&terms.modifiers).map(|it| duo_url(it)).collect();
        put("usageInfo", json!(all));
    }
    if !manifest.parents.is_empty() {
        let parents: Vec<Value> =
            manifest.parents.iter().map(|it| json!({"@id": format!("urn:nodedata:{it}")})).collect();
        put("prov:wasDerivedFrom", json!(parents));
    }
    put("rai:personalSensitiveInformation", json!(personal(&manifest.sensitivity)));
    put("rai:dataCollection", json!(collection(manifest)));
    put("rai:dataReleaseMaintenancePlan", json!(maintenance(manifest)));
    if !facts.dp_reports.is_empty() {
        let told: Vec<String> = facts.dp_reports.iter().map(DpReport::sentence).collect();
        put("rai:dataAnnotationProtocol", json!(format!("Differential privacy: {}", told.join(" "))));
    }
    put("distribution", json!(distribution(manifest, facts)));
    put("recordSet", json!(record_sets(manifest, schema, facts.shards)));
    Value::Object(document)
}

/// Episodes that are named one by one.
const LEFT_OUT_TOLD: usize = 50;

/// How the data is kept up, and what of the files that are named nobody is to use.
fn maintenance(manifest: &RevisionManifest) -> String {
    let plan = "Revisions are immutable; corrections are new revisions, withdrawals are recorded in the log.";
    let keys: Vec<&str> = manifest.splits.values().flat_map(|it| &it.exclude).map(String::as_str).collect();
    if keys.is_empty() {
        return plan.to_owned();
    }
    let more = keys.len().saturating_sub(LEFT_OUT_TOLD);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named: Vec<String> = keys.iter().take(LEFT_OUT_TOLD).map(|it| format!("`{it}`")).collect();
    let (episodes, rows) = match keys.len() {
        1 => ("1 episode was".to_owned(), "its rows"),
        n => (format!("{n} episodes were"), "their rows"),
    };
    format!(
        "{plan} {episodes} withdrawn and must not be used, although the files still hold {rows}: {}{more}.",
        named.join(", "),
    )
}

fn description(manifest: &RevisionManifest, readme: &str) -> String {
    let body = match readme.strip_prefix("---\n").and_then(|it| it.split_once("\n---\n")) {
        Some((_, body)) => body,
        None => readme,
    };
    // The first paragraph that is no heading, table or list.
    let paragraph = body
        .split("\n\n")
        .map(str::trim)
        .find(|it| !it.is_empty() && !it.starts_with(['#', '|', '-', '*', '`', '!', '<']));
    let text = paragraph.or(manifest.title.as_deref()).unwrap_or("A robot-learning dataset.");
    text.chars().take(DESCRIPTION_CHARS_MAX).collect()
}

/// SPDX's page of a single identifier; the expression itself otherwise.
fn license_url(license: &str) -> String {
    let is_single = license.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b'+'));
    match is_single && !license.starts_with("LicenseRef-") {
        true => format!("https://spdx.org/licenses/{license}.html"),
        false => license.to_owned(),
    }
}

fn duo_url(term: &str) -> String {
    format!("http://purl.obolibrary.org/obo/{}", term.replace(':', "_"))
}

fn page_url(manifest: &RevisionManifest, facts: &CroissantFacts<'_>) -> String {
    match facts.base_url {
        Some(base) => format!("{}/d/{}@{}", base.trim_end_matches('/'), manifest.dataset, manifest.revision),
        None => format!("urn:nodedata:{}@{}", manifest.dataset, manifest.revision),
    }
}

fn cite_as(manifest: &RevisionManifest, date: &str) -> String {
    let year = date.get(..4).unwrap_or(date);
    let title = manifest.title.as_deref().unwrap_or(manifest.dataset.name());
    let key = manifest.dataset.name().replace(['-', '.'], "_");
    let plain = |text: &str| text.replace(['{', '}', '\\'], " ");
    format!(
        "@misc{{{key}_{}, title={{{}}}, author={{{}}}, year={{{year}}}, version={{{}}}}}",
        manifest.revision.replace(['.', '+', '-'], "_"),
        plain(title),
        plain(manifest.dataset.owner()),
        manifest.revision,
    )
}

fn personal(sensitivity: &Sensitivity) -> Vec<String> {
    let class = match sensitivity.class {
        DataClass::Undeclared => "Nobody has declared what personal data it holds",
        DataClass::None => "No personal data",
        DataClass::Pseudonymous => "Pseudonymous personal data",
        DataClass::Identifying => "Identifying personal data",
        DataClass::Biometric => "Biometric data",
        DataClass::SpecialCategory => "Special categories of personal data",
    };
    let mut told = vec![class.to_owned()];
    if !sensitivity.categories.is_empty() {
        told.push(format!("Categories: {}", sensitivity.categories.join(", ")));
    }
    if sensitivity.minors {
        told.push("Minors are recorded".to_owned());
    }
    if let Some(basis) = &sensitivity.basis {
        told.push(format!("Legal basis: {basis}"));
    }
    if !sensitivity.regimes.is_empty() {
        told.push(format!("Regimes: {}", sensitivity.regimes.join(", ")));
    }
    for it in &sensitivity.treatment {
        let recall = it.recall.as_ref().map(|it| format!(", measured recall {it}")).unwrap_or_default();
        told.push(format!("Treatment: {} on {} by {} {}{recall}", it.method, it.scope, it.tool, it.version));
    }
    if let Some(by) = &sensitivity.no_people_checked_by {
        told.push(format!("That no people are seen was checked by {by}"));
    }
    if sensitivity.gate.is_some() {
        told.push("Readers attest to an agreement before they are let in".to_owned());
    }
    told
}

fn collection(manifest: &RevisionManifest) -> String {
    let robot: Vec<String> = manifest.robot.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let by = manifest.created_by.get("tool").map_or("node-data", String::as_str);
    match robot.as_slice() {
        [] => format!(
            "Robot recordings, converted by {by}; provenance.jsonl names the source bytes of each shard."
        ),
        robot => format!(
            "Robot recordings ({}), converted by {by}; provenance.jsonl names the source bytes of each shard.",
            robot.join(", ")
        ),
    }
}

fn distribution(manifest: &RevisionManifest, facts: &CroissantFacts<'_>) -> Vec<Value> {
    let url = |path: &str| match facts.base_url {
        Some(base) => {
            format!(
                "{}/v1/d/{}@{}/files/{path}",
                base.trim_end_matches('/'),
                manifest.dataset,
                manifest.revision
            )
        }
        None => path.to_owned(),
    };
    let object = |path: &str, sha256: &str, bytes: u64, media_type: &str| {
        json!({
            "@type": "cr:FileObject",
            "@id": id_of(path),
            "name": path,
            "contentUrl": url(path),
            "contentSize": format!("{bytes} B"),
            "encodingFormat": media_type,
            "sha256": sha256,
        })
    };
    let shards = facts.shards.iter().map(|it| object(&it.path, &it.blob.sha256, it.blob.bytes, PARQUET));
    let index = |it: &FileRef| object(&it.path, &it.blob.sha256, it.blob.bytes, media_type(&it.path));
    let sets = streams_of(facts.shards).into_iter().flat_map(|(stream, by_split)| {
        by_split.into_iter().map(move |(split, shards)| {
            let contained: Vec<Value> = shards.iter().map(|it| json!({"@id": id_of(&it.path)})).collect();
            json!({
                "@type": "cr:FileSet",
                "@id": file_set(stream, split),
                "name": file_set(stream, split),
                "containedIn": contained,
                "encodingFormat": PARQUET,
                "includes": includes(&shards),
            })
        })
    });
    shards.chain(manifest.index.values().map(index)).chain(sets).collect()
}

const PARQUET: &str = "application/x-parquet";

fn media_type(path: &str) -> &'static str {
    if path.ends_with(".json") { "application/json" } else { PARQUET }
}

/// Streams, their splits, and the shards of each, in order.
fn streams_of(shards: &[ShardRef]) -> BTreeMap<&str, BTreeMap<&str, Vec<&ShardRef>>> {
    let mut streams: BTreeMap<&str, BTreeMap<&str, Vec<&ShardRef>>> = BTreeMap::new();
    for shard in shards {
        streams.entry(&shard.stream).or_default().entry(&shard.split).or_default().push(shard);
    }
    streams
}

fn file_set(stream: &str, split: &str) -> String {
    format!("files@{}", record_set_id(stream, split))
}

fn record_set_id(stream: &str, split: &str) -> String {
    format!("{}@{}", id_of(stream), id_of(split))
}

/// A name as an identifier: readers take none with spaces, not even escaped as URLs do, and one that begins with
/// a slash for a file, so other letters than the plain ones are written as their code between two `~`.
fn id_of(name: &str) -> String {
    let mut id = String::with_capacity(name.len());
    for letter in name.chars() {
        let is_plain = letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        if is_plain || (letter == '/' && !id.is_empty()) {
            id.push(letter);
        } else {
            id.push_str(&format!("~{:x}~", u32::from(letter)));
        }
    }
    id
}

fn includes(shards: &[&ShardRef]) -> Vec<String> {
    shards.iter().map(|it| it.path.clone()).collect()
}

fn record_sets(manifest: &RevisionManifest, schema: &Schema, shards: &[ShardRef]) -> Vec<Value> {
    let names: Vec<Value> = manifest.splits.keys().map(|it| json!({"splits/name": it})).collect();
    let splits = json!({
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [{"@type": "cr:Field", "@id": "splits/name", "name": "splits/name", "dataType": "sc:Text"}],
        "data": names,
    });
    let mut sets = vec![splits];
    for (stream, by_split) in streams_of(shards) {
        let fields = if stream == STEPS { Some(&schema.fields) } else { schema.streams.get(stream) };
        for (split, shards) in by_split {
            sets.push(record_set(stream, split, fields, &shards));
        }
    }
    sets
}

fn record_set(stream: &str, split: &str, fields: Option<&Fields>, shards: &[&ShardRef]) -> Value {
    let id = record_set_id(stream, split);
    // One file is named itself: more readers follow that than a set.
    let from = |column: &str| match shards {
        [one] => json!({"fileObject": {"@id": id_of(&one.path)}, "extract": {"column": column}}),
        _ => json!({"fileSet": {"@id": file_set(stream, split)}, "extract": {"column": column}}),
    };
    let mut all = vec![json!({
        "@type": "cr:Field",
        "@id": format!("{id}/episode_index"),
        "name": "episode_index",
        "description": "Position of the episode in the dataset",
        "dataType": "cr:Int64",
        "source": from("episode_index"),
    })];
    for (name, field) in fields.into_iter().flat_map(Fields::iter) {
        let mut told = json!({
            "@type": "cr:Field",
            "@id": format!("{id}/{}", id_of(name)),
            "name": name,
            "dataType": croissant_type(field),
            "source": from(name),
        });
        if let Some(description) = describe(field.description.as_deref(), field.unit.as_deref()) {
            told["description"] = json!(description);
        }
        if let Some(shape) = array_shape(field) {
            told["isArray"] = json!(true);
            told["arrayShape"] = json!(shape);
        }
        all.push(told);
    }
    json!({
        "@type": "cr:RecordSet",
        "@id": id,
        "name": id,
        "description": format!("Rows of `{stream}` in the split `{split}`"),
        "field": all,
    })
}

fn describe(description: Option<&str>, unit: Option<&str>) -> Option<String> {
    match (description, unit) {
        (Some(text), Some(unit)) => Some(format!("{text} [{unit}]")),
        (Some(text), None) => Some(text.to_owned()),
        (None, Some(unit)) => Some(format!("[{unit}]")),
        (None, None) => None,
    }
}

/// The context that the specification asks for, word for word.
fn context() -> Value {
    serde_json::from_str(include_str!("croissant_context.json")).expect("checked by the tests")
}

#[cfg(test)]
mod tests;
