use std::collections::BTreeSet;

use nodedata_core::{Finding, Locus, suggest};

use crate::Cut;

/// Values of a marker that are remembered for hints: they come from files.
const REMEMBERED_MAX: usize = 256;

/// What of a cut was met in any recording: values of its marker, and ranges with messages in them.
#[derive(Debug, Default)]
pub(crate) struct CutMet {
    values: BTreeSet<String>,
    ranges: BTreeSet<usize>,
}

impl CutMet {
    /// A message of the marker has this value. Those that the cut names are always remembered.
    pub(crate) fn value(&mut self, value: &str, is_named: bool) {
        if (is_named || self.values.len() < REMEMBERED_MAX) && !self.values.contains(value) {
            self.values.insert(value.to_owned());
        }
    }

    /// A recording has messages in the range at this position.
    pub(crate) fn range(&mut self, idx: usize) {
        self.ranges.insert(idx);
    }

    /// What nothing answers to. These are values of data, of which a recording may have none: nobody discarded
    /// an episode, say. So they are told, and the run goes on.
    pub(crate) fn warnings(&self, cut: &Cut) -> Vec<Finding> {
        let mut warnings = Vec::new();
        match cut {
            Cut::Whole | Cut::Gap { .. } => {}
            Cut::Marker(marker) => {
                let keys = [("start", &marker.start), ("end", &marker.end), ("discard", &marker.discard)];
                for (key, value) in
                    keys.iter().flat_map(|(key, values)| values.iter().map(move |it| (key, it)))
                {
                    if !self.values.contains(value) {
                        let hint = suggest(value, self.values.iter().map(String::as_str));
                        let message =
                            format!("`episodes.{key}`: `{}` is never `{value}` ({hint})", marker.field);
                        warnings.push(Finding::warning(message, Locus::default()));
                    }
                }
            }
            Cut::Ranges(ranges) => {
                for (idx, range) in ranges.iter().enumerate().filter(|(idx, _)| !self.ranges.contains(idx)) {
                    let (start, end) = (range.start_ns, range.end_ns);
                    let message =
                        format!("`episodes.ranges[{idx}]`: no message lies from {start} to {end} ns");
                    let hint = "`node-data inspect` shows the times there are";
                    warnings.push(Finding::warning(message, Locus::default()).with_hint(hint));
                }
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EpisodeRange, Marker};

    #[test]
    fn what_nothing_answers_to_is_told() {
        let mut met = CutMet::default();
        for value in ["begin", "stop", "begin"] {
            met.value(value, false);
        }
        met.range(0);
        let words = |it: &str| vec![it.to_owned()];
        let marker = Marker {
            field: "/mark.kind".to_owned(),
            start: words("begin"),
            end: words("stpo"),
            ..Marker::default()
        };
        let told = met.warnings(&Cut::Marker(marker));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].message, "`episodes.end`: `/mark.kind` is never `stpo` (did you mean `stop`?)");
        let range = |start_ns| EpisodeRange { recording: None, start_ns, end_ns: start_ns + 5 };
        let told = met.warnings(&Cut::Ranges(vec![range(0), range(10)]));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].message, "`episodes.ranges[1]`: no message lies from 10 to 15 ns");
    }
}
