//! `meta/modality.json` of GR00T: which slice of state and action is what.

use std::{collections::BTreeMap, ops::Range};

use serde_json::{Value, json};

use crate::info::Info;

/// The groups of the document whose entries are slices of vectors, and the feature that they are of unless an entry
/// says another.
const GROUPS: [(&str, &str); 2] = [("state", "observation.state"), ("action", "action")];

/// The document, and what it says of each feature.
#[derive(Debug, Clone, Default)]
pub(crate) struct Modality {
    /// As it is, for the dataset's metadata.
    pub(crate) text: String,
    /// By feature, in the order of where they start.
    slices: BTreeMap<String, Vec<Slice>>,
    /// Entries that cannot be used, and why.
    mistakes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Slice {
    name: String,
    elements: Range<usize>,
}

impl Modality {
    /// Reads the document. What it does not say as it should is among [`Self::mistakes`].
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut modality = Self { text: String::from_utf8_lossy(bytes).into_owned(), ..Self::default() };
        match serde_json::from_slice::<Value>(bytes) {
            Ok(document) => modality.add(&document),
            Err(err) => modality.mistakes.push(format!("the document is not JSON: {err}")),
        }
        modality
    }

    fn add(&mut self, document: &Value) {
        for (group, feature) in GROUPS {
            for (name, entry) in document.get(group).and_then(Value::as_object).into_iter().flatten() {
                let bound = |key: &str| usize::try_from(entry.get(key)?.as_u64()?).ok();
                let (Some(start), Some(end)) = (bound("start"), bound("end")) else {
                    self.mistakes.push(format!("`{group}.{name}` has no `start` or no `end`"));
                    continue;
                };
                let feature = entry.get("original_key").and_then(Value::as_str).unwrap_or(feature);
                let slice = Slice { name: name.clone(), elements: start..end };
                self.slices.entry(feature.to_owned()).or_default().push(slice);
            }
        }
        self.slices.values_mut().for_each(|it| it.sort_by_key(|it| (it.elements.start, it.elements.end)));
    }

    /// What of it is not so in the dataset, each in a sentence.
    pub(crate) fn mistakes(&self, info: &Info) -> Vec<String> {
        let mut mistakes = self.mistakes.clone();
        for (feature, slices) in &self.slices {
            let Some(n) = info.features.get(feature).and_then(|it| it.n_elements()) else {
                mistakes.push(format!("`{feature}` is no feature that has slices"));
                continue;
            };
            for Slice { name, elements } in slices {
                if !lies_in(elements, n) {
                    let Range { start, end } = elements;
                    mistakes.push(format!("`{name}` is {start}..{end} of the {n} values of `{feature}`"));
                }
            }
        }
        mistakes
    }

    /// Leaves out the slices that are not so in the dataset: nobody is to cut a feature where it has no values.
    pub(crate) fn keep_true(&mut self, info: &Info) {
        self.slices.retain(|feature, slices| {
            let n = info.features.get(feature).and_then(|it| it.n_elements());
            slices.retain(|it| n.is_some_and(|n| lies_in(&it.elements, n)));
            !slices.is_empty()
        });
    }

    /// The slices of a feature, as JSON: from which element each goes to before which.
    pub(crate) fn slices_of(&self, feature: &str) -> Option<String> {
        let slices = self.slices.get(feature)?.iter();
        let slices: BTreeMap<&str, Value> =
            slices.map(|it| (it.name.as_str(), json!([it.elements.start, it.elements.end]))).collect();
        serde_json::to_string(&slices).ok()
    }

    /// Names of the `n` elements of a feature: its slices' own, with the position in those of several elements.
    /// `None` where the slices do not cover it once.
    pub(crate) fn names_of(&self, feature: &str, n: usize) -> Option<Vec<String>> {
        let mut names = Vec::new();
        for Slice { name, elements } in self.slices.get(feature)? {
            if elements.start != names.len() || !lies_in(elements, n) {
                return None;
            }
            match elements.len() {
                1 => names.push(name.clone()),
                of_slice => names.extend((0..of_slice).map(|it| format!("{name}.{it}"))),
            }
        }
        Some(names).filter(|it| it.len() == n)
    }
}

/// Whether it is a slice of `n` elements.
fn lies_in(slice: &Range<usize>, n: usize) -> bool {
    slice.start < slice.end && slice.end <= n
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn info() -> Info {
        let text = r#"{"codebase_version":"v2.1","fps":10,"data_path":"d","features":{
            "observation.state":{"dtype":"float32","shape":[3]},"act":{"dtype":"float32","shape":[2]}}}"#;
        Info::parse(text.as_bytes(), Path::new("meta/info.json")).unwrap()
    }

    #[test]
    fn slices_name_the_elements_that_they_cover() {
        let modality = Modality::read(
            br#"{"state":{"gripper":{"start":2,"end":3},"arm":{"start":0,"end":2}},
                "action":{"arm":{"start":0,"end":1,"original_key":"act"}},"video":{"top":{"original_key":"x"}}}"#,
        );
        assert_eq!(modality.mistakes(&info()), [""; 0]);
        let names = |feature: &str, n: usize| modality.names_of(feature, n).map(|it| it.join(" "));
        assert_eq!(names("observation.state", 3).as_deref(), Some("arm.0 arm.1 gripper"));
        assert_eq!(names("act", 2), None);
        assert_eq!(names("action", 2), None);
        assert_eq!(
            modality.slices_of("observation.state").as_deref(),
            Some(r#"{"arm":[0,2],"gripper":[2,3]}"#)
        );
        assert_eq!(modality.slices_of("act").as_deref(), Some(r#"{"arm":[0,1]}"#));
    }

    #[test]
    fn what_is_not_so_is_told() {
        for (document, told) in [
            ("{", "is not JSON"),
            (r#"{"state":{"arm":{"start":0}}}"#, "`state.arm` has no `start` or no `end`"),
            (
                r#"{"state":{"arm":{"start":0,"end":4}}}"#,
                "`arm` is 0..4 of the 3 values of `observation.state`",
            ),
            (r#"{"action":{"arm":{"start":0,"end":4}}}"#, "`action` is no feature"),
        ] {
            let modality = Modality::read(document.as_bytes());
            let mistakes = modality.mistakes(&info());
            assert!(matches!(&mistakes[..], [one] if one.contains(told)), "{document}: {mistakes:?}");
        }
        let mut modality = Modality::read(
            br#"{"state":{"arm":{"start":0,"end":4},"hand":{"start":2,"end":3}},
                "action":{"arm":{"start":0,"end":1}}}"#,
        );
        modality.keep_true(&info());
        assert_eq!(modality.slices_of("observation.state").as_deref(), Some(r#"{"hand":[2,3]}"#));
        assert_eq!(modality.slices_of("action"), None);
        // A slice that ends behind all else names nothing, and takes no memory.
        let huge = Modality::read(br#"{"state":{"arm":{"start":0,"end":9000000000000}}}"#);
        assert_eq!(huge.names_of("observation.state", 3), None);
    }
}
