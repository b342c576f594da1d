use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind, OpenOptions, Result, Silent, TimeRange};
use nodedata_dataset::{Manifest, created_by};
use nodedata_pipeline::{ConvertOptions, OnError, SplitPlan, convert};
use nodedata_registry::{DatasetName, Remote, Revision, RevisionEntry, record::FileRef};
use nodedata_schema::{Mode, Schema};
use serde::Serialize;
use serde_json::Value;

/// What came of running a recipe again.
#[derive(Debug, Serialize)]
pub(crate) struct Rebuilt {
    /// Shards with the digest that was published.
    pub(crate) same: u64,
    /// Paths of shards that came out otherwise, or not at all, or that were not published.
    pub(crate) different: Vec<String>,
}

/// Converts `source` once more by the recipe that the revision's provenance tells, into a folder that is gone
/// afterwards, and compares the shards.
///
/// # Errors
/// `Unsupported` when the revision was not converted by this tool, or by another version of it; what
/// converting reports.
pub(crate) fn rebuild(
    remote: &dyn Remote,
    dataset: &DatasetName,
    entry: &RevisionEntry,
    source: &str,
) -> Result<Rebuilt> {
    let revision = Revision::open(remote, dataset, entry)?;
    let manifest: Manifest = parse(&file(&revision, "manifest.json")?)?;
    let made_by = manifest.created_by.get("tool").cloned().unwrap_or_default();
    if made_by != created_by() {
        let message = format!("the revision was made by `{made_by}`, this is `{}`", created_by());
        return Err(Error::new(ErrorKind::Unsupported, message).with_hint("run the version that made it"));
    }
    let statements = file(&revision, "provenance.jsonl")?;
    let first = statements.split(|it| *it == b'\n').next().unwrap_or_default();
    let statement: Value = parse(first)?;
    let config =
        statement.pointer("/predicate/buildDefinition/externalParameters/config").ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "the provenance tells no recipe")
                .with_hint("only what `node-data convert` made can be made again")
        })?;
    let schema = String::from_utf8_lossy(&revision.read(&revision.manifest().schema.file.blob)?).into_owned();
    let out = tempfile::tempdir()?;
    let options = options(config, &schema, source, &out.path().join("dataset"))?;
    let made = convert(&nodedata_formats::builtin(), &options, &Silent)?.manifest;
    let mut rebuilt = Rebuilt { same: 0, different: Vec::new() };
    let published = revision.shards()?;
    for shard in published {
        let found = made.shards.iter().find(|it| it.path == shard.path);
        match found.is_some_and(|it| it.b3.trim_start_matches("b3:") == shard.blob.b3.hex()) {
            true => rebuilt.same += 1,
            false => rebuilt.different.push(shard.path.clone()),
        }
    }
    let is_new = |path: &String| !published.iter().any(|it| it.path == *path);
    rebuilt.different.extend(made.shards.into_iter().map(|it| it.path).filter(is_new));
    Ok(rebuilt)
}

fn file(revision: &Revision<'_>, path: &str) -> Result<Vec<u8>> {
    let found: Option<&FileRef> = revision.manifest().files.iter().find(|it| it.path == path);
    let found = found.ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, format!("the revision has no `{path}`"))
            .with_hint("only what `node-data convert` made can be made again")
    })?;
    Ok(revision.read(&found.blob)?.to_vec())
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|err| Error::new(ErrorKind::Corrupt, "the recipe cannot be read").with_source(err))
}

/// The options that gave this recipe.
fn options(config: &Value, schema: &str, source: &str, out: &std::path::Path) -> Result<ConvertOptions> {
    let unknown = |what: &str| {
        Error::new(ErrorKind::Unsupported, format!("the recipe's `{what}` is not one we know"))
            .with_hint("run the version that made the revision")
    };
    let strings = |value: &Value| -> Option<Vec<String>> {
        value.as_array()?.iter().map(|it| it.as_str().map(str::to_owned)).collect()
    };
    let number = |what: &str| config[what].as_u64().ok_or_else(|| unknown(what));
    for what in ["steps", "quarantine"] {
        if !config[what].is_null() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the recipe has `{what}`, which came of a pipeline"),
            )
            .with_hint("run the pipeline file that made the revision, and compare the two datasets"));
        }
    }
    let decode = match &config["decode"] {
        Value::Null => BTreeMap::new(),
        some => parse(some.to_string().as_bytes())?,
    };
    let topics = match &config["topics"] {
        Value::Null => None,
        some => Some(strings(some).ok_or_else(|| unknown("topics"))?),
    };
    let start_ns = config["time_range"][0].as_i64().ok_or_else(|| unknown("time_range"))?;
    let end_ns = config["time_range"][1].as_i64();
    let fractions = config["splits"].as_array().ok_or_else(|| unknown("splits"))?.iter().map(|it| {
        let fraction = it[1].as_str().and_then(|it| it.parse().ok());
        Some((it[0].as_str()?.to_owned(), fraction?))
    });
    let fractions = fractions.collect::<Option<Vec<(String, f64)>>>().ok_or_else(|| unknown("splits"))?;
    let on_error = [OnError::Fail, OnError::Salvage].into_iter().find(|it| config["on_error"] == it.name());
    // An inferred schema is made again; a declared one is what the revision carries.
    let schema = Schema::from_json(schema).map_err(|_| unknown("schema"))?;
    let schema = Some(schema).filter(|it| it.mode != Some(Mode::Inferred) && !config["schema"].is_null());
    Ok(ConvertOptions {
        from: Some(config["format"].as_str().ok_or_else(|| unknown("format"))?.to_owned()),
        open: OpenOptions {
            topics,
            decode,
            undecoded: strings(&config["undecoded"]).ok_or_else(|| unknown("undecoded"))?,
            time_range: TimeRange { start_ns, end_ns },
            verify_checksums: config["verify_checksums"]
                .as_bool()
                .ok_or_else(|| unknown("verify_checksums"))?,
            partition_bytes: number("partition_bytes")?,
            ..OpenOptions::default()
        },
        schema,
        splits: if fractions == [("train".to_owned(), 1.0)] {
            SplitPlan::default()
        } else {
            SplitPlan::fractions(fractions)
        },
        on_error: on_error.ok_or_else(|| unknown("on_error"))?,
        shard_bytes: number("shard_bytes")?,
        ..ConvertOptions::new(source, out)
    })
}
