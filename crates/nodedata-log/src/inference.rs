use std::{collections::BTreeSet, sync::Arc};

use nodedata_core::{ErrorKind, OnMisfit, OpenOptions, Result, TimeRange};
use nodedata_message::{JsonInference, Place};

use crate::{LogFile, Message, Route, Routes, Selector};

/// Shows every message of the streams that have no schema to their inference. Types must not depend on
/// the part that is asked for, so the time range is not looked at. Types are those of the messages that can be read; returns the
/// streams that have others beside these, where such messages are kept.
///
/// # Errors
/// `Io`. Damage is left to reading, which meets it again and knows its cost.
pub(crate) fn observe_messages<F: LogFile>(
    inferences: &mut [Option<JsonInference>],
    files: &[Option<F>],
    routes: &[Arc<Routes>],
    options: &OpenOptions,
) -> Result<BTreeSet<usize>> {
    let needed: Vec<bool> = inferences.iter().map(Option::is_some).collect();
    each_message(&|it| needed[it], files, routes, options, |message, place| {
        match &mut inferences[message.stream] {
            // One message that is not readable, and all are looked at once more.
            Some(inference) if !inference.is_broken() => drop(inference.observe(message.payload, place)),
            _ => {}
        }
    })?;
    let is_broken = |it: &Option<JsonInference>| it.as_ref().is_some_and(JsonInference::is_broken);
    let broken: Vec<bool> = inferences.iter().map(is_broken).collect();
    if !broken.contains(&true) {
        return Ok(BTreeSet::new());
    }
    let mut sound: Vec<Option<JsonInference>> = inferences
        .iter()
        .zip(&broken)
        .map(|(it, is_broken)| it.as_ref().filter(|_| *is_broken).map(JsonInference::without_any))
        .collect();
    let mut misfits = BTreeSet::new();
    each_message(&|it| broken[it], files, routes, options, |message, place| {
        if let Some(inference) = &mut sound[message.stream]
            && inference.observe_whole(message.payload, place).is_err()
        {
            misfits.insert(message.stream);
        }
    })?;
    for (stream, sound) in sound.into_iter().enumerate() {
        // Where not one message can be read they stay bytes, all of them.
        if let Some(sound) = sound.filter(|it| !it.is_empty()) {
            inferences[stream] = Some(sound);
        } else {
            misfits.remove(&stream);
        }
    }
    // Where they are refused they are met by reading, which knows where they are.
    Ok(if options.on_misfit == OnMisfit::Fail { BTreeSet::new() } else { misfits })
}

/// Hands out every message of some streams, with its place.
pub(crate) fn each_message<F: LogFile>(
    is_wanted: &impl Fn(usize) -> bool,
    files: &[Option<F>],
    routes: &[Arc<Routes>],
    options: &OpenOptions,
    mut visit: impl FnMut(&Message<'_>, Place),
) -> Result<()> {
    for (input, (file, routes)) in files.iter().zip(routes).enumerate() {
        let Some(file) = file else { continue };
        let routes = routes.only(|it| matches!(it, Route::Stream(stream) if is_wanted(stream)));
        if !routes.leads_anywhere() {
            continue;
        }
        let selector = Selector::new(Arc::new(routes), TimeRange::ALL);
        let mut cursor = file.messages(0..file.n_units(), selector, options);
        let mut n_messages = 0;
        loop {
            match cursor.next_message() {
                Ok(Some(message)) => {
                    let place = Place { input: u32::try_from(input).unwrap_or(u32::MAX), at: n_messages };
                    n_messages += 1;
                    visit(&message, place);
                }
                Ok(None) => break,
                Err(damage) if damage.error.kind() == ErrorKind::Io => return Err(damage.error),
                Err(_) => {}
            }
        }
    }
    Ok(())
}
