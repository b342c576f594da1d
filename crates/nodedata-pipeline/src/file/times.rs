use nodedata_core::{Moment, Moments, placed::Node};

use super::read::{Reader, text};

/// The times of a mapping at `path`: `start` and `end` in words of people, or `start_ns` and `end_ns` in nanoseconds.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, path: &str) -> Moments {
    let start = moment(reader, node, path, ["start", "start_ns"]);
    let end = moment(reader, node, path, ["end", "end_ns"]);
    if let (Some((start_key, start)), Some((end_key, end))) = (start, end)
        // Of offsets only the source tells.
        && !start.is_offset()
        && !end.is_offset()
        && end.nanos(None) <= start.nanos(None)
    {
        let told = |key| text(node, key).unwrap_or_default();
        let (start, end) = (told(start_key), told(end_key));
        let message = format!("`{path}.{end_key}` is {end}, not after `{start_key}` {start}");
        reader.add(&format!("{path}.{end_key}"), message, "swap them");
    }
    Moments { start: start.map(|it| it.1), end: end.map(|it| it.1) }
}

/// What one of two keys says, and which.
fn moment(
    reader: &mut Reader<'_>,
    node: &Node,
    path: &str,
    [key, in_nanos]: [&'static str; 2],
) -> Option<(&'static str, Moment)> {
    match (text(node, key), node.get(in_nanos)) {
        (Some(_), Some(_)) => {
            let message = format!("`{path}` has both `{key}` and `{in_nanos}`, which say the same");
            reader.add(&format!("{path}.{key}"), message, "remove one of them");
            None
        }
        // What is no time was told with the shape of the key.
        (Some(told), None) => told.parse().ok().map(|it| (key, it)),
        (None, Some(nanos)) => {
            let nanos = i64::try_from(nanos.integer()?).ok()?;
            Some((in_nanos, Moment::Bare(nanos)))
        }
        (None, None) => None,
    }
}
