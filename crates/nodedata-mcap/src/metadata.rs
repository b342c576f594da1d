use std::collections::{BTreeMap, BTreeSet};

use crate::records::{Header, Metadata};

/// What the header's own facts are filed under.
const HEADER: &str = "mcap";

/// A Metadata record, kept for the whole time the file is open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MetadataRecord {
    name: String,
    entries: Vec<(String, String)>,
}

impl From<&Metadata<'_>> for MetadataRecord {
    fn from(record: &Metadata<'_>) -> Self {
        let entry = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Self { name: record.name.to_owned(), entries: record.entries.iter().map(entry).collect() }
    }
}

impl From<&Header<'_>> for MetadataRecord {
    fn from(header: &Header<'_>) -> Self {
        let told = [("profile", header.profile), ("library", header.library)];
        let told = told.into_iter().filter(|it| !it.1.is_empty());
        let entries = told.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { name: HEADER.to_owned(), entries }
    }
}

/// The records as one map from `<record>.<key>`, in which every value can be found: of several records of one name the last,
/// which is the one that counts (rosbag2 writes its own at the start and at the end), has the name alone, and those before it are
/// `<record>#1`, `<record>#2` …. A name with a dot in it stands in quotes, so that the first dot outside of quotes ends it.
pub(crate) fn joined(records: &[MetadataRecord]) -> BTreeMap<String, String> {
    let mut alike: BTreeMap<&str, Vec<&MetadataRecord>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    // Damage may lead over the same record twice. Where it comes last it counts, so that is where it stays.
    for record in records.iter().rev().filter(|it| seen.insert(*it)) {
        alike.entry(&record.name).or_default().push(record);
    }
    let mut joined = BTreeMap::new();
    for (name, from_the_last) in alike {
        let name = match name.contains(['.', '#', '"']) {
            true => format!("\"{name}\""),
            false => name.to_owned(),
        };
        for (n_behind, record) in from_the_last.iter().enumerate() {
            let name = match n_behind {
                0 => name.clone(),
                _ => format!("{name}#{}", from_the_last.len() - n_behind),
            };
            joined.extend(record.entries.iter().map(|(key, value)| (format!("{name}.{key}"), value.clone())));
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, entries: &[(&str, &str)]) -> MetadataRecord {
        let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        MetadataRecord { name: name.to_owned(), entries }
    }

    #[test]
    fn every_value_can_be_found() {
        let records = [
            record("camera", &[("side", "left"), ("f", "500")]),
            record("a.b", &[("c", "1")]),
            record("camera", &[("side", "right"), ("f", "510")]),
            record("a", &[("b.c", "2")]),
            record("camera", &[("side", "right"), ("f", "510")]),
        ];
        let found: Vec<String> =
            joined(&records).iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            found,
            [
                "\"a.b\".c=1",
                "a.b.c=2",
                "camera#1.f=500",
                "camera#1.side=left",
                "camera.f=510",
                "camera.side=right"
            ]
        );
        // One that comes back is the last, and counts.
        let [day, night] = ["day", "night"].map(|it| record("mode", &[("is", it)]));
        let found = joined(&[day.clone(), night, day]);
        let found: Vec<(&str, &str)> =
            found.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(found, [("mode#1.is", "night"), ("mode.is", "day")]);
    }
}
