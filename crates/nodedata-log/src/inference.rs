use std::sync::Arc;

use nodedata_core::{ErrorKind, OpenOptions, Result, TimeRange};
use nodedata_message::{JsonInference, Place};

use crate::{LogFile, MessageCursor as _, Route, Routes, Selector};

/// Shows every message of the streams that have no schema to their inference. Types must not depend on
/// the part that is asked for, so the time range is not looked at.
///
/// # Errors
/// `Io`. Damage is left to reading, which meets it again and knows its cost.
pub(crate) fn observe_messages<F: LogFile>(
    inferences: &mut [Option<JsonInference>],
    files: &[Option<F>],
    routes: &[Arc<Routes>],
    options: &OpenOptions,
) -> Result<()> {
    for (input, (file, routes)) in files.iter().zip(routes).enumerate() {
        let Some(file) = file else { continue };
        let needed = |stream: usize| inferences[stream].is_some();
        let routes = routes.only(|it| matches!(it, Route::Stream(stream) if needed(stream)));
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
                    match &mut inferences[message.stream] {
                        // Messages of which one is not readable stay bytes, whatever the others are.
                        Some(inference) if !inference.is_broken() => {
                            drop(inference.observe(message.payload, place));
                        }
                        _ => {}
                    }
                }
                Ok(None) => break,
                Err(damage) if damage.error.kind() == ErrorKind::Io => return Err(damage.error),
                Err(_) => {}
            }
        }
    }
    Ok(())
}
