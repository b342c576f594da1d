use std::collections::BTreeMap;

use crate::records::{Header, Metadata};

/// What the header's own facts are filed under.
const HEADER: &str = "mcap";

/// A Metadata record, kept for the whole time the file is open.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    let mut different: Vec<&MetadataRecord> = Vec::new();
    for record in records {
        // Damage may lead over the same record twice.
        if !different.contains(&record) {
            different.push(record);
        }
    }
    let mut joined = BTreeMap::new();
    for (idx, record) in different.iter().enumerate() {
        let is_alike = |it: &&&MetadataRecord| it.name == record.name;
        let n_before = different[..idx].iter().filter(is_alike).count();
        let is_last = !different[idx + 1..].iter().any(|it| it.name == record.name);
        let name = match record.name.contains(['.', '#', '"']) {
            true => format!("\"{}\"", record.name),
            false => record.name.clone(),
        };
        let name = if is_last { name } else { format!("{name}#{}", n_before + 1) };
        joined.extend(record.entries.iter().map(|(key, value)| (format!("{name}.{key}"), value.clone())));
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
    }
}
