use std::sync::Arc;

use nodedata_core::{ErrorKind, OpenOptions, ReadAt, Result, TimeRange};
use nodedata_message::JsonInference;

use crate::{
    cursor::MessageCursor,
    log_plan::LogPlan,
    routes::{Route, Routes},
};

/// Shows every message of the streams that have no schema to their inference. Types must not depend on
/// the part that is asked for, so the time range is not looked at.
///
/// # Errors
/// `Io`. Damage is left to reading, which meets it again and knows its cost.
pub(crate) fn observe_messages(
    inferences: &mut [Option<JsonInference>],
    files: &[Arc<dyn ReadAt>],
    plans: &[Arc<LogPlan>],
    routes: &[Arc<Routes>],
    options: &OpenOptions,
) -> Result<()> {
    let options = OpenOptions { time_range: TimeRange::ALL, ..options.clone() };
    for ((file, plan), routes) in files.iter().zip(plans).zip(routes) {
        let needed = |stream: usize| inferences[stream].is_some();
        let routes = routes.only(|it| matches!(it, Route::Stream(stream) if needed(stream)));
        if !routes.leads_anywhere() {
            continue;
        }
        let units = 0..plan.units.len();
        let mut cursor =
            MessageCursor::new(Arc::clone(file), Arc::clone(plan), Arc::new(routes), &options, units);
        loop {
            match cursor.advance() {
                Ok(Some(found)) => {
                    let message = cursor.message(&found);
                    if let Some((inference, message)) = inferences[found.stream].as_mut().zip(message) {
                        inference.observe(message.data);
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
