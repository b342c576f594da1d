use std::collections::{BTreeMap, BTreeSet};

/// What is known of how a bag is stored, for the metadata of its episode.
#[derive(Debug, Default)]
pub(crate) struct Storage {
    n_chunks: u64,
    compressions: BTreeSet<String>,
}

impl Storage {
    /// Notes a chunk.
    pub(crate) fn saw_chunk(&mut self, compression: &str) {
        self.n_chunks += 1;
        // Of what damage makes up only the first few are of use.
        if self.compressions.len() < 16 && !self.compressions.contains(compression) {
            self.compressions.insert(compression.to_owned());
        }
    }

    pub(crate) fn into_metadata(self) -> BTreeMap<String, String> {
        let mut metadata = BTreeMap::new();
        let mut put = |key: &str, value: String| metadata.insert(format!("rosbag1.{key}"), value);
        put("version", "2.0".to_owned());
        put("chunks", self.n_chunks.to_string());
        if !self.compressions.is_empty() {
            let compressions: Vec<String> = self.compressions.into_iter().collect();
            put("compression", compressions.join(", "));
        }
        metadata
    }
}
