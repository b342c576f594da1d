//! What is read of a source and how it is converted, said by the names of the command's flags.

use std::{collections::BTreeMap, path::PathBuf};

use nodedata_client::read_schema;
use nodedata_core::{MediaEncoding, Moment, Moments, OnMisfit, OpenOptions, OptionValue, Reference};
use nodedata_dataset::Access;
use nodedata_pipeline::{ConvertOptions, OnError, StepFlags, parse_splits, read_message_paths};
use pyo3::{prelude::*, types::PyBool};

use crate::{
    arguments::Arguments,
    errors::{OrRaise as _, mistake},
    watched::away,
};

/// Which part of a source is read: `topic`, `undecoded`, `msg_path`, `start`, `end`, `decode`, `embed`, `no_verify`, `set`.
///
/// # Errors
/// `ConfigError` for values that cannot be.
pub(crate) fn open_options(given: &mut Arguments<'_>) -> PyResult<OpenOptions> {
    let py = given.py();
    let paths = given.texts("msg_path")?.unwrap_or_default();
    Ok(OpenOptions {
        options: settings(given)?,
        topics: given.texts("topic")?,
        undecoded: given.texts("undecoded")?.unwrap_or_default(),
        message_paths: away(py, move || read_message_paths(&paths))?.or_raise(py)?,
        decode: named(given, "decode", "jpeg, png, raw", MediaEncoding::from_name)?,
        embed: named(given, "embed", "path, base64", Reference::from_name)?,
        moments: Moments { start: moment(given, "start")?, end: moment(given, "end")? },
        verify_checksums: !given.take_or("no_verify", false)?,
        ..OpenOptions::default()
    })
}

/// How a source is converted: the options of [`open_options`], and `from`, `overwrite`, `rate`, `clock`, `time`,
/// `tolerance_ms`, `upsample`, `schema`, `split`, `on_error`, `on_misfit`, `threads`, `shard_mb`, `access`.
///
/// # Errors
/// `ConfigError` for values that cannot be.
pub(crate) fn convert_options(
    given: &mut Arguments<'_>,
    sources: Vec<String>,
    out: PathBuf,
) -> PyResult<ConvertOptions> {
    let py = given.py();
    let on_misfit = given.word("on_misfit", &[("keep", OnMisfit::Keep), ("fail", OnMisfit::Fail)])?;
    let open = OpenOptions { on_misfit: on_misfit.unwrap_or_default(), ..open_options(given)? };
    let rate = given.object("rate").map(|it| it.str()?.extract::<String>()).transpose()?;
    let step_flags = StepFlags {
        rate,
        clock: given.take("clock")?,
        time: given.take("time")?,
        tolerance_ms: given.take("tolerance_ms")?,
        upsample: given.take_or("upsample", false)?,
    };
    let schema = given.take::<PathBuf>("schema")?;
    let splits = given.take::<String>("split")?.map(|it| parse_splits(&it)).transpose().or_raise(py)?;
    let on_error = given.word("on_error", &[("fail", OnError::Fail), ("salvage", OnError::Salvage)])?;
    let access = given.word("access", &Access::ALL.map(|it| (it.name(), it)))?;
    let mut options = ConvertOptions {
        from: given.take("from")?,
        overwrite: given.take_or("overwrite", false)?,
        step_flags,
        open,
        schema: schema.map(|it| read_schema(&it)).transpose().or_raise(py)?,
        splits: splits.unwrap_or_default(),
        on_error: on_error.unwrap_or_default(),
        threads: threads(given)?,
        access: access.unwrap_or_default(),
        sources,
        ..ConvertOptions::new("", out)
    };
    if let Some(shard_mb) = given.take::<u32>("shard_mb")? {
        options.shard_bytes = u64::from(shard_mb.max(1)) << 20;
    }
    Ok(options)
}

/// How many threads work.
///
/// # Errors
/// `ConfigError` for none, and for more than anybody has.
pub(crate) fn threads(given: &mut Arguments<'_>) -> PyResult<Option<usize>> {
    let threads = given.take::<usize>("threads")?;
    match threads {
        Some(n) if !(1..=1024).contains(&n) => {
            let hint = "give 1 to 1024, or leave it out for one of each core";
            Err(mistake(given.py(), format!("`threads` is {n}"), hint))
        }
        threads => Ok(threads),
    }
}

/// Options of the source's format, by name.
fn settings(given: &mut Arguments<'_>) -> PyResult<BTreeMap<String, OptionValue>> {
    let settings = given.take::<BTreeMap<String, Bound<'_, PyAny>>>("set")?.unwrap_or_default();
    let told = |(name, value): (String, Bound<'_, PyAny>)| {
        let text = match value.cast::<PyBool>() {
            Ok(value) => value.is_true().to_string(),
            Err(_) => value.str()?.extract()?,
        };
        Ok::<_, PyErr>((name, OptionValue::Text(text)))
    };
    settings.into_iter().map(told).collect()
}

/// What a dictionary says of features, in one of several words each.
fn named<T>(
    given: &mut Arguments<'_>,
    name: &'static str,
    words: &str,
    of: impl Fn(&str) -> Option<T>,
) -> PyResult<BTreeMap<String, T>> {
    let py = given.py();
    let told = given.take::<BTreeMap<String, String>>(name)?.unwrap_or_default();
    let meant = |(feature, word): (String, String)| match of(&word) {
        Some(meant) => Ok((feature, meant)),
        None => {
            let message = format!("`{name}` says `{word}` of `{feature}`");
            Err(mistake(py, message, format!("it may be one of {words}")))
        }
    };
    told.into_iter().map(meant).collect()
}

fn moment(given: &mut Arguments<'_>, name: &'static str) -> PyResult<Option<Moment>> {
    let Some(value) = given.object(name) else { return Ok(None) };
    let text: String = value.str()?.extract()?;
    let refused =
        |why: String| mistake(given.py(), format!("`{name}`: {why}"), "write it as for the command");
    text.parse().map(Some).map_err(refused)
}
