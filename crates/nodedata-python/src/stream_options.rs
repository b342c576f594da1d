//! What is read of each source of a stream, in which order, and how it is made ready.

use std::collections::{BTreeMap, BTreeSet};

use nodedata_core::{Error, ErrorKind, suggest};
use nodedata_reader::{FrameAxes, Split};
use nodedata_stream::{
    DecodedCache, EngineOptions, MixOptions, OrderOptions, Pad, Selection, Shuffle, Stop, StreamOptions,
    Unit, Window,
};
use pyo3::{
    prelude::*,
    types::{PyBool, PyDict, PyInt},
};

use crate::{
    arguments::Arguments,
    errors::{Failure, OrRaise as _, mistake},
    fields::fields_request,
};

/// The options of one source.
///
/// # Errors
/// `ConfigError` for what is unknown or cannot be, `NotFoundError` for episodes that are not there.
pub(crate) fn source_options(
    split: &Split,
    given: &Bound<'_, PyDict>,
    epoch: Option<u64>,
) -> PyResult<(StreamOptions, EngineOptions)> {
    let py = given.py();
    let mut given = Arguments::of("stream", given)?;
    let (fields, resize) = (given.object("fields"), given.object("resize"));
    let selection = Selection {
        unit: parsed::<Unit>(&mut given, "unit")?.unwrap_or_default(),
        drop_first: given.take_or("drop_first", 0)?,
        drop_last: given.take_or("drop_last", 0)?,
        episodes: given.object("episodes").map(|it| positions(split, &it)).transpose()?,
    };
    let of_options = given.take_or("epoch", 0)?;
    let order = OrderOptions {
        shuffle: shuffle(&mut given)?,
        seed: given.take_or("seed", 0)?,
        epoch: epoch.unwrap_or(of_options),
        block: given.take("block")?,
        lanes: given.take("lanes")?,
        window: None,
    };
    let windows = given.take::<Vec<(String, Vec<i64>)>>("windows")?.unwrap_or_default();
    let windows = windows.into_iter().map(|(name, offsets)| {
        let window = Window::of_steps(offsets).map_err(|err| err.at(nodedata_core::Locus::feature(&name)));
        window.map(|window| (name, window))
    });
    let options = StreamOptions {
        selection,
        order,
        fields: fields_request(py, fields.as_ref(), resize.as_ref())?,
        windows: windows.collect::<nodedata_core::Result<_>>().or_raise(py)?,
        pad: parsed::<Pad>(&mut given, "pad")?.unwrap_or_default(),
        axes: parsed::<FrameAxes>(&mut given, "layout")?.unwrap_or_default(),
        decoded_cache: decoded_cache(&mut given)?,
    };
    let engine = engine_options(&mut given)?;
    given.finish()?;
    Ok((options, engine))
}

/// How sources are mixed.
///
/// # Errors
/// `ConfigError` for what is unknown or cannot be.
pub(crate) fn mix_options(given: &Bound<'_, PyDict>) -> PyResult<MixOptions> {
    let py = given.py();
    let mut given = Arguments::of("mix", given)?;
    let stop = match given.object("stop") {
        None => Stop::default(),
        Some(stop) if stop.is_instance_of::<PyInt>() => Stop::Places(stop.extract()?),
        Some(stop) => match stop.extract::<String>()?.as_str() {
            "longest" => Stop::Longest,
            "shortest" => Stop::Shortest,
            other => {
                let hint = suggest(other, ["longest", "shortest"]);
                return Err(mistake(py, format!("`stop` is no `{other}`"), hint));
            }
        },
    };
    let options = MixOptions {
        weights: given.take("weights")?.unwrap_or_default(),
        seed: given.take_or("seed", 0)?,
        stop,
    };
    given.finish()?;
    Ok(options)
}

fn engine_options(given: &mut Arguments<'_>) -> PyResult<EngineOptions> {
    let default = EngineOptions::default();
    Ok(EngineOptions {
        threads: given.take("threads")?,
        prefetch_bytes: given.take_or("prefetch_bytes", default.prefetch_bytes)?,
        ready_bytes: given.take_or("ready_bytes", default.ready_bytes)?,
        max_sample_bytes: given.take_or("max_sample_bytes", default.max_sample_bytes)?,
        video_cache_bytes: given.take_or("video_cache_bytes", default.video_cache_bytes)?,
        on_error: parsed(given, "on_error")?.unwrap_or_default(),
    })
}

/// Bytes of decoded media that are kept in the user's cache folder.
fn decoded_cache(given: &mut Arguments<'_>) -> PyResult<Option<DecodedCache>> {
    let max_bytes = given.take::<u64>("decoded_cache")?;
    Ok(max_bytes.filter(|it| *it > 0).map(|max_bytes| DecodedCache { folder: None, max_bytes }))
}

/// `False`, `True` or `"uniform"`.
fn shuffle(given: &mut Arguments<'_>) -> PyResult<Shuffle> {
    let Some(value) = given.object("shuffle") else { return Ok(Shuffle::default()) };
    if let Ok(value) = value.cast::<PyBool>() {
        return Ok(if value.is_true() { Shuffle::On } else { Shuffle::Off });
    }
    if value.extract::<String>().is_ok_and(|it| it == "uniform") {
        return Ok(Shuffle::Uniform);
    }
    let message = format!("`shuffle` is {}", value.repr()?.to_cow()?);
    Err(mistake(given.py(), message, "give False, True or \"uniform\""))
}

/// What a word means.
fn parsed<T: std::str::FromStr<Err = Error>>(
    given: &mut Arguments<'_>,
    name: &'static str,
) -> PyResult<Option<T>> {
    let word = given.take::<String>(name)?;
    word.map(|it| it.parse()).transpose().or_raise(given.py())
}

/// Positions of episodes in the split, which are told by position or by key.
fn positions(split: &Split, given: &Bound<'_, PyAny>) -> PyResult<Vec<u64>> {
    let py = given.py();
    let (mut positions, mut keys) = (Vec::new(), BTreeSet::new());
    for episode in given.try_iter()? {
        let episode = episode?;
        if let Ok(position) = episode.extract::<u64>() {
            positions.push(position);
        } else if let Ok(key) = episode.extract::<String>() {
            keys.insert(key);
        } else {
            let message = format!("`episodes` names {}", episode.repr()?.to_cow()?);
            return Err(mistake(
                py,
                message,
                "name episodes by their position in the split, or by their key",
            ));
        }
    }
    if !keys.is_empty() {
        positions.extend(of_keys(split, &keys).or_raise(py)?);
    }
    positions.sort_unstable();
    positions.dedup();
    Ok(positions)
}

/// Positions of the episodes of some keys.
fn of_keys(split: &Split, keys: &BTreeSet<String>) -> Result<Vec<u64>, Failure> {
    let mut known = BTreeMap::new();
    for position in 0..split.n_episodes() {
        known.insert(split.head(position)?.key, position as u64);
    }
    let position = |key: &String| {
        known.get(key.as_str()).copied().ok_or_else(|| {
            let message = format!("there is no episode `{key}` in `{}`", split.name());
            let hint = suggest(key, known.keys().copied());
            Failure::not_found(Error::new(ErrorKind::Config, message).with_hint(hint))
        })
    };
    keys.iter().map(position).collect()
}
