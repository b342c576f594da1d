use std::collections::BTreeSet;

use nodedata_core::{Finding, Locus, suggest};

use crate::Cut;

/// Values of a marker that are remembered for hints: they come from files.
const REMEMBERED_MAX: usize = 256;

/// What of a cut was met in any recording: values of its marker.
#[derive(Debug, Default)]
pub(crate) struct CutMet {
    values: BTreeSet<String>,
}

impl CutMet {
    /// A message of the marker has this value. Those that the cut names are always remembered.
    pub(crate) fn value(&mut self, value: &str, is_named: bool) {
        if (is_named || self.values.len() < REMEMBERED_MAX) && !self.values.contains(value) {
            self.values.insert(value.to_owned());
        }
    }

    /// What nothing answers to. These are values of data, of which a recording may have none: nobody discarded
    /// an episode, say. So they are told, and the run goes on.
    pub(crate) fn warnings(&self, cut: &Cut) -> Vec<Finding> {
        let mut warnings = Vec::new();
        match cut {
            // A range without a message is refused.
            Cut::Whole | Cut::Gap { .. } | Cut::Ranges(_) => {}
            Cut::Marker(_) | Cut::Change(_) => {
                let (field, keys) = match cut {
                    Cut::Marker(it) => {
                        (&it.field, vec![("start", &it.start), ("end", &it.end), ("discard", &it.discard)])
                    }
                    Cut::Change(it) => (&it.field, vec![("without", &it.without)]),
                    Cut::Whole | Cut::Gap { .. } | Cut::Ranges(_) => return warnings,
                };
                for (key, value) in
                    keys.iter().flat_map(|(key, values)| values.iter().map(move |it| (key, it)))
                {
                    if !self.values.contains(value) {
                        let hint = suggest(value, self.values.iter().map(String::as_str));
                        let message = format!("`episodes.{key}`: `{field}` is never `{value}` ({hint})");
                        warnings.push(Finding::warning(message, Locus::default()));
                    }
                }
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Marker;

    #[test]
    fn what_nothing_answers_to_is_told() {
        let mut met = CutMet::default();
        for value in ["begin", "stop", "begin"] {
            met.value(value, false);
        }
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
    }
}
