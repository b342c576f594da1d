use std::ops::Range;

use serde_json::{Value, json};

use crate::{
    access::Access,
    canonical::canonical_json,
    digest::b3_of,
    encode::Origin,
    manifest::{FileEntry, InputEntry},
    properties,
    shard::SealedShard,
    writer::created_by,
};

/// What all shards of a run have in common.
pub(crate) struct Making<'a> {
    /// Name of the converter, such as `mcap`.
    pub(crate) converter: &'a str,
    /// Tool and version that made the dataset.
    pub(crate) created_by: &'a str,
    /// `recipe.json`.
    pub(crate) recipe: &'a FileEntry,
    pub(crate) inputs: &'a [InputEntry],
    pub(crate) access: Access,
}

impl Making<'_> {
    /// The in-toto statement of one shard and its provenance hash. Nothing in it is volatile: no time,
    /// host or user (REGISTRY 2.5).
    pub(crate) fn statement(&self, shard: &SealedShard, stream: &str, split: &str) -> (Value, String) {
        let dependencies: Vec<Value> = by_input(&shard.facts.origins)
            .into_iter()
            .filter_map(|(input, n_rows, ranges)| {
                let file = self.inputs.get(input)?;
                let ranges: Vec<Value> = ranges.iter().map(|it| json!([it.start, it.end])).collect();
                Some(json!({
                    "name": file.path,
                    "digest": {"blake3": file.b3},
                    "annotations": {"bytes": file.bytes, "records": n_rows, "byte_ranges": ranges},
                }))
            })
            .collect();
        let definition = json!({
            "buildType": "urn:nodedata:convert:1",
            "externalParameters": {
                "stream": stream,
                "split": split,
                "shard": shard.facts.id.number,
                "recipe": {"name": self.recipe.path, "digest": {"blake3": self.recipe.b3}},
            },
            "internalParameters": {
                "converter": self.converter,
                "converter_version": self.created_by,
                "writer": writer_settings(self.access),
            },
            "resolvedDependencies": dependencies,
        });
        let subject = json!([{"name": shard.path, "digest": {"blake3": shard.digest.b3}}]);
        let recipe = b3_of(canonical_json(&definition).as_bytes());
        statement(&subject, &definition, |hash| Some(json!({"recipe": recipe, "provenance": hash})))
    }
}

/// The in-toto statement that something was made as `definition` says, and the hash of both. `metadata` is what else is
/// told of the run, by that hash.
pub fn statement(
    subject: &Value,
    definition: &Value,
    metadata: impl FnOnce(&str) -> Option<Value>,
) -> (Value, String) {
    let hashed = json!({"subject": subject, "buildDefinition": definition});
    let hash = b3_of(canonical_json(&hashed).as_bytes());
    let builder = json!({"id": "urn:nodedata:cli", "version": {"node-data": created_by()}});
    let details = match metadata(&hash) {
        Some(metadata) => json!({"builder": builder, "metadata": metadata}),
        None => json!({"builder": builder}),
    };
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": definition, "runDetails": details},
    });
    (statement, hash)
}

/// The hash in [`crate::Manifest::recipe`], known before any row is read: the same inputs, options, program and writer settings make the same bytes.
/// `recipe` is the content of `recipe.json`, which says `access` too, where it is not the usual one.
pub fn recipe_hash(recipe: &str, access: Access, inputs: &[InputEntry]) -> String {
    let inputs: Vec<Value> =
        inputs.iter().map(|it| json!({"path": it.path, "b3": it.b3, "bytes": it.bytes})).collect();
    let hashed = json!({
        "created_by": created_by(),
        "recipe": recipe,
        "writer": writer_settings(access),
        "inputs": inputs,
    });
    b3_of(canonical_json(&hashed).as_bytes())
}

/// What of the writer decides bytes.
pub(crate) fn writer_settings(access: Access) -> Value {
    json!({"parquet": "60.1", "settings": properties::settings(access)})
}

/// Rows and byte ranges per input file, neighbouring ranges joined.
fn by_input(origins: &[Origin]) -> Vec<(usize, u64, Vec<Range<u64>>)> {
    let mut files: Vec<(usize, u64, Vec<Range<u64>>)> = Vec::new();
    for origin in origins {
        let at = match files.iter().position(|it| it.0 == origin.input) {
            Some(at) => at,
            None => {
                files.push((origin.input, 0, Vec::new()));
                files.len() - 1
            }
        };
        files[at].1 += origin.n_rows;
        files[at].2.push(origin.byte_range.clone());
    }
    for (_, _, ranges) in &mut files {
        ranges.sort_by_key(|it| (it.start, it.end));
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in ranges.drain(..) {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        *ranges = joined;
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_ranges_are_joined_per_input() {
        let origin =
            |input, start, end| Origin { row: 0, n_rows: 2, input, byte_range: start..end, first_record: 0 };
        let files = by_input(&[
            origin(1, 0, 5),
            origin(0, 7, 9),
            origin(1, 5, 8),
            origin(0, 1, 2),
            origin(1, 20, 30),
        ]);
        assert_eq!(files, vec![(1, 6, vec![0..8, 20..30]), (0, 4, vec![1..2, 7..9])]);
    }
}
