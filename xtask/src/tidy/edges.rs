use super::{Finding, crate_graph::CrateGraph};

/// Which of our crates may need which, and why. A new edge is a line here, in a commit of its own.
///
/// Data moves right only: a crate may name what stands above it in this table, never below.
const ALLOWED: &[Edge] = &[
    // The two foundations.
    edge("nodedata-io", "nodedata-core", "implements Files and ReadAt over disk, memory and object stores"),
    edge("nodedata-media", "nodedata-core", "speaks of features, shapes and errors"),
    edge("nodedata-schema", "nodedata-core", "a schema is a list of features"),
    // What formats share.
    edge("nodedata-ros", "nodedata-core", "message definitions become features"),
    edge("nodedata-message", "nodedata-core", "one message's bytes become columns"),
    edge("nodedata-message", "nodedata-ros", "ROS 1 and ROS 2 are two of its encodings"),
    edge("nodedata-message", "nodedata-media", "image messages are recognised by what their bytes say"),
    edge(
        "nodedata-arrow",
        "nodedata-core",
        "others' columns become features, their files are read over ReadAt",
    ),
    edge("nodedata-steps", "nodedata-core", "columns, pieces and streams of steps"),
    edge("nodedata-steps", "nodedata-media", "image columns"),
    edge("nodedata-log", "nodedata-core", "streams of rows over a Source"),
    edge("nodedata-log", "nodedata-message", "a channel's messages, whatever their encoding"),
    edge("nodedata-log", "nodedata-ros", "definitions that recordings leave out, chosen by the payloads"),
    // Format crates: core, media, and what formats share; never each other.
    edge("nodedata-mcap", "nodedata-core", "implements Format"),
    edge("nodedata-mcap", "nodedata-log", "a log of channels and messages"),
    edge("nodedata-lerobot", "nodedata-core", "implements Format"),
    edge("nodedata-lerobot", "nodedata-arrow", "its tables are Parquet that others wrote"),
    edge("nodedata-lerobot", "nodedata-media", "video files, their decoding, image headers"),
    edge("nodedata-lerobot", "nodedata-steps", "one table of steps"),
    edge("nodedata-jsonl", "nodedata-core", "implements Format"),
    edge("nodedata-jsonl", "nodedata-io", "files may be packed as a whole"),
    edge("nodedata-jsonl", "nodedata-message", "a line is a message of JSON"),
    edge("nodedata-jsonl", "nodedata-steps", "one table of rows, its selection, the words of losses"),
    edge("nodedata-rlds", "nodedata-core", "implements Format"),
    edge("nodedata-rlds", "nodedata-arrow", "shards may be Parquet, as TFDS writes it"),
    edge("nodedata-rlds", "nodedata-io", "shards may be packed as a whole"),
    edge("nodedata-rlds", "nodedata-media", "which images are some, and floats stored as PNG"),
    edge("nodedata-rlds", "nodedata-steps", "one table of steps"),
    edge("nodedata-rosbag", "nodedata-core", "implements Format"),
    edge("nodedata-rosbag", "nodedata-io", "files of a bag may be packed as a whole"),
    edge("nodedata-rosbag", "nodedata-log", "a log of connections or topics, and messages"),
    edge("nodedata-webdataset", "nodedata-core", "implements Format"),
    edge("nodedata-webdataset", "nodedata-io", "archives and members may be packed"),
    edge("nodedata-webdataset", "nodedata-media", "pictures and clips are told by their bytes"),
    edge("nodedata-webdataset", "nodedata-message", "members of JSON, CBOR and MessagePack"),
    edge("nodedata-webdataset", "nodedata-steps", "one table of samples, what a pass over them learned"),
    edge("nodedata-tabular", "nodedata-core", "implements Format"),
    edge("nodedata-tabular", "nodedata-arrow", "others' Parquet and Arrow as features"),
    edge("nodedata-tabular", "nodedata-io", "text may be packed as a whole"),
    edge("nodedata-tabular", "nodedata-steps", "one table of rows, its selection, pieces and their losses"),
    edge("nodedata-formats", "nodedata-core", "the list is a Formats"),
    edge("nodedata-formats", "nodedata-jsonl", "one line a format"),
    edge("nodedata-formats", "nodedata-lerobot", "one line a format"),
    edge("nodedata-formats", "nodedata-mcap", "one line a format"),
    edge("nodedata-formats", "nodedata-rlds", "one line a format"),
    edge("nodedata-formats", "nodedata-rosbag", "one line a format"),
    edge("nodedata-formats", "nodedata-webdataset", "one line a format"),
    edge("nodedata-formats", "nodedata-tabular", "one line a format"),
    // The way of the data.
    edge("nodedata-normalize", "nodedata-core", "a Source over a Source"),
    edge("nodedata-normalize", "nodedata-media", "transforms decode, change and encode pictures"),
    edge("nodedata-normalize", "nodedata-steps", "what the headers of pictures say, where rows are left out"),
    edge("nodedata-quality", "nodedata-core", "rules look at batches and features"),
    edge("nodedata-dataset", "nodedata-core", "stores features, names places in errors"),
    edge("nodedata-dataset", "nodedata-arrow", "damage in a Parquet file never ends the program"),
    edge("nodedata-dataset", "nodedata-io", "grows folders hidden and gives them their name"),
    edge("nodedata-dataset", "nodedata-media", "validate --deep decodes frames"),
    edge("nodedata-dataset", "nodedata-schema", "schema.json, and batches proved by the check"),
    edge("nodedata-pipeline", "nodedata-core", "drives Source and EpisodeStream"),
    edge("nodedata-pipeline", "nodedata-io", "opens the input's files"),
    edge("nodedata-pipeline", "nodedata-normalize", "steps are a stage"),
    edge("nodedata-pipeline", "nodedata-schema", "the schema check is a stage"),
    edge("nodedata-pipeline", "nodedata-dataset", "writes the dataset"),
    edge("nodedata-registry", "nodedata-core", "errors with place and hint"),
    edge("nodedata-registry", "nodedata-arrow", "shards that others wrote"),
    edge("nodedata-registry", "nodedata-dataset", "publishes datasets, makes folders of revisions"),
    edge(
        "nodedata-registry",
        "nodedata-io",
        "opens buckets, runs requests, reads far files by blocks, makes folders",
    ),
    edge("nodedata-registry", "nodedata-schema", "enforces schema.json on shards that others wrote"),
    edge("nodedata-reader", "nodedata-core", "features, rows, errors with place and hint"),
    edge(
        "nodedata-reader",
        "nodedata-arrow",
        "damage in a Parquet file never ends the program; cells as JSON",
    ),
    edge("nodedata-reader", "nodedata-dataset", "tables of a dataset, where pages of its shards lie"),
    edge("nodedata-reader", "nodedata-io", "maps files, threads that a fork does not take away"),
    edge("nodedata-reader", "nodedata-media", "decodes pictures, sound and video, and resizes frames"),
    edge("nodedata-reader", "nodedata-registry", "revisions, and ranges of blobs with their trees"),
    edge("nodedata-reader", "nodedata-schema", "shapes of what is decoded"),
    edge("nodedata-stream", "nodedata-core", "errors with hint, near names, whether a feature has numbers"),
    edge("nodedata-stream", "nodedata-io", "reads and writes the file of decoded rows at positions"),
    edge("nodedata-stream", "nodedata-reader", "the rows that samples are made of"),
    edge("nodedata-export", "nodedata-core", "errors with place and hint"),
    edge("nodedata-export", "nodedata-schema", "the fields of a dataset, in others' words"),
    edge("nodedata-export", "nodedata-dataset", "folders that were converted or pulled"),
    edge("nodedata-export", "nodedata-io", "a folder that appears whole"),
    edge("nodedata-export", "nodedata-registry", "the manifest of a revision, in others' words"),
    edge("nodedata-server", "nodedata-core", "errors become problem+json"),
    edge("nodedata-server", "nodedata-io", "keys and backups are files that appear whole"),
    edge("nodedata-server", "nodedata-schema", "the page shows a revision's schema"),
    edge("nodedata-server", "nodedata-registry", "stores, records, gates, and the protocol's bodies"),
    edge("nodedata-server", "nodedata-export", "croissant.json of a revision"),
    edge(
        "nodedata-pipeline",
        "nodedata-quality",
        "the gate of a run, rules of validate, the pace inspect shows",
    ),
    edge("nodedata-client", "nodedata-core", "errors with place and hint"),
    edge("nodedata-client", "nodedata-io", "keeps tokens in files of their own"),
    edge("nodedata-client", "nodedata-schema", "a declared schema comes with an upload"),
    edge("nodedata-client", "nodedata-pipeline", "the publish stage of a pipeline"),
    edge("nodedata-client", "nodedata-registry", "opens registries, creates, pushes"),
    // The command.
    edge("nodedata-cli", "nodedata-client", "opens registries as any user does"),
    edge("nodedata-cli", "nodedata-core", "prints errors with place and hint"),
    edge("nodedata-cli", "nodedata-io", "writes single files whole or not at all"),
    edge("nodedata-cli", "nodedata-formats", "node-data formats"),
    edge("nodedata-cli", "nodedata-normalize", "node-data transforms"),
    edge("nodedata-cli", "nodedata-schema", "node-data schema"),
    edge("nodedata-cli", "nodedata-dataset", "node-data validate and explain"),
    edge("nodedata-cli", "nodedata-quality", "prints findings, writes reports"),
    edge("nodedata-cli", "nodedata-pipeline", "node-data convert, inspect and run"),
    edge("nodedata-cli", "nodedata-registry", "node-data dataset and node-data store"),
    edge("nodedata-cli", "nodedata-server", "node-data serve"),
    edge("nodedata-cli", "nodedata-export", "node-data export"),
    // The Python package.
    edge("nodedata-python", "nodedata-client", "opens registries, creates, uploads, publishes"),
    edge("nodedata-python", "nodedata-core", "errors become exceptions"),
    edge("nodedata-python", "nodedata-dataset", "nodedata.validate"),
    edge("nodedata-python", "nodedata-formats", "sources in any format"),
    edge("nodedata-python", "nodedata-io", "what a fork takes away is made anew; a plan is written whole"),
    edge("nodedata-python", "nodedata-pipeline", "nodedata.convert, inspect and run"),
    edge("nodedata-python", "nodedata-quality", "the rules of nodedata.validate"),
    edge("nodedata-python", "nodedata-reader", "episodes and steps as arrays"),
    edge("nodedata-python", "nodedata-registry", "what the client opens: revisions, tags, withdrawals"),
    edge("nodedata-python", "nodedata-stream", "streams for training"),
    // The bench walks pages of SQLite without the rest of a conversion.
    edge("xtask", "nodedata-core", "options of the walk"),
    edge("xtask", "nodedata-io", "opens the file that is walked"),
    edge("xtask", "nodedata-log", "the cursor over messages"),
    edge("xtask", "nodedata-rosbag", "the walk over pages of SQLite"),
    edge("xtask", "nodedata-media", "pictures and frames of video, in the bench"),
    // The test kit sees the traits, never a format. Its own is there to show what the traits allow.
    edge("nodedata-testkit", "nodedata-core", "conformance of Format and Source"),
    edge("nodedata-testkit", "nodedata-io", "fixtures in memory and on disk"),
    edge("nodedata-testkit", "nodedata-log", "a made-up log whose units share pages, in several files"),
    edge("nodedata-testkit", "nodedata-registry", "conformance of Remote, behind a feature"),
];

/// Edges for tests only, beside those above and those to [`FREE_IN_TESTS`].
const ALLOWED_IN_TESTS: &[Edge] = &[
    edge("nodedata-rosbag", "nodedata-mcap", "bags whose storage is MCAP"),
    edge("nodedata-normalize", "nodedata-formats", "steps of real logs"),
    edge("nodedata-cli", "nodedata-media", "frames of a converted dataset are compared decoded"),
    edge("nodedata-stream", "nodedata-media", "pictures of a dataset that is streamed"),
    edge("nodedata-stream", "nodedata-registry", "publishes what is streamed"),
    edge("nodedata-stream", "nodedata-schema", "publishes what is streamed"),
];

/// What any crate may use in its tests.
const FREE_IN_TESTS: &[&str] = &["nodedata-testkit", "nodedata-core", "nodedata-io"];

/// Others' crates that must not be reached from one of ours.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("nodedata-core", "parquet", "the vocabulary does no I/O and must stay quick to build"),
    ("nodedata-core", "tokio", "the vocabulary does no I/O and must stay quick to build"),
    ("nodedata-core", "tracing", "what is done is told at borders, and the vocabulary has none"),
    ("nodedata-ros", "tokio", "parsers see bytes, not files"),
    ("nodedata-message", "tokio", "parsers see bytes, not files"),
    (
        "nodedata-normalize",
        "parquet",
        "normalize hands out batches; writing them belongs to nodedata-dataset",
    ),
    ("nodedata-log", "parquet", "logs hand out batches; writing them belongs to nodedata-dataset"),
    ("nodedata-mcap", "parquet", "a format hands out batches; writing them belongs to nodedata-dataset"),
];

/// Where the tables are.
const TABLES: &str = "xtask/src/tidy/edges.rs";

struct Edge {
    from: &'static str,
    to: &'static str,
    /// For people; never read by code.
    #[expect(dead_code, reason = "the table is the place where an edge is justified")]
    why: &'static str,
}

const fn edge(from: &'static str, to: &'static str, why: &'static str) -> Edge {
    Edge { from, to, why }
}

fn has(table: &[Edge], from: &str, to: &str) -> bool {
    table.iter().any(|it| it.from == from && it.to == to)
}

/// Edges between our crates that the table does not allow, those that it allows and no crate uses, and forbidden crates
/// of others.
pub(super) fn check(graph: &CrateGraph) -> Vec<Finding> {
    let mut findings = refusals(graph);
    findings.extend(unused(graph));
    findings
}

/// Lines of the tables that no `Cargo.toml` needs: a permission that nobody asked for is one that nobody justified.
fn unused(graph: &CrateGraph) -> Vec<Finding> {
    let needs = |from: &str, to: &str| graph.members.get(from).is_some_and(|it| it.needs.contains(to));
    let needs_in_tests =
        |from: &str, to: &str| graph.members.get(from).is_some_and(|it| it.needs_in_tests.contains(to));
    let shipped = ALLOWED.iter().filter(|it| !needs(it.from, it.to)).map(|it| (it, "ALLOWED"));
    let tests = ALLOWED_IN_TESTS
        .iter()
        .filter(|it| !needs_in_tests(it.from, it.to))
        .map(|it| (it, "ALLOWED_IN_TESTS"));
    let finding = |(edge, table): (&Edge, &str)| {
        Finding::new(
            TABLES,
            format!("{table} lets {} depend on {}, which it does not", edge.from, edge.to),
            "take the line out",
        )
    };
    shipped.chain(tests).map(finding).collect()
}

fn refusals(graph: &CrateGraph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (from, member) in &graph.members {
        for to in member.needs.iter().filter(|to| !has(ALLOWED, from, to)) {
            findings.push(refused(&member.manifest, from, to, "ALLOWED"));
        }
        for to in &member.needs_in_tests {
            let free = FREE_IN_TESTS.contains(&to.as_str());
            if !free && !has(ALLOWED, from, to) && !has(ALLOWED_IN_TESTS, from, to) {
                findings.push(refused(&member.manifest, from, to, "ALLOWED_IN_TESTS"));
            }
        }
    }
    for (from, to, why) in FORBIDDEN {
        if let Some(way) = graph.way(from, to) {
            findings.push(Finding::new(
                *from,
                format!("{from} reaches {to} by {}", way.join(" -> ")),
                format!("take it out: {why}"),
            ));
        }
    }
    findings
}

fn refused(manifest: &str, from: &str, to: &str, table: &str) -> Finding {
    Finding::new(
        manifest,
        format!("{from} depends on {to}, which is no allowed edge"),
        format!("move the shared part below both, or add the edge with its reason to {table} in {TABLES}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::crate_graph::Member;

    fn graph(from: &str, needs: &[&str], needs_in_tests: &[&str]) -> CrateGraph {
        let owned = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        let member =
            Member { needs: owned(needs), needs_in_tests: owned(needs_in_tests), ..Member::default() };
        CrateGraph { members: [(from.to_owned(), member)].into(), ..CrateGraph::default() }
    }

    #[test]
    fn a_listed_edge_passes_and_its_reverse_does_not() {
        assert_eq!(refusals(&graph("nodedata-io", &["nodedata-core"], &[])), []);
        assert_eq!(refusals(&graph("nodedata-core", &["nodedata-io"], &[])).len(), 1);
    }

    #[test]
    fn tests_may_use_the_kit_but_not_everything() {
        assert_eq!(refusals(&graph("nodedata-mcap", &[], &["nodedata-testkit"])), []);
        assert_eq!(refusals(&graph("nodedata-mcap", &[], &["nodedata-cli"])).len(), 1);
    }

    #[test]
    fn an_edge_that_nobody_uses_is_found_in_either_table() {
        let mut all = CrateGraph::default();
        for edge in ALLOWED {
            all.members.entry(edge.from.to_owned()).or_default().needs.insert(edge.to.to_owned());
        }
        for edge in ALLOWED_IN_TESTS {
            all.members.entry(edge.from.to_owned()).or_default().needs_in_tests.insert(edge.to.to_owned());
        }
        assert_eq!(check(&all), []);
        let (one, other) = (&ALLOWED[0], &ALLOWED_IN_TESTS[0]);
        all.members.get_mut(one.from).unwrap().needs.remove(one.to);
        // What is shipped is no reason for an edge of tests.
        let member = all.members.get_mut(other.from).unwrap();
        member.needs_in_tests.remove(other.to);
        member.needs.insert(other.to.to_owned());
        let found: Vec<String> = unused(&all).into_iter().map(|it| it.message).collect();
        let expected = [("ALLOWED", one), ("ALLOWED_IN_TESTS", other)]
            .map(|(table, it)| format!("{table} lets {} depend on {}, which it does not", it.from, it.to));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_forbidden_crate_is_found_at_any_depth() {
        let mut graph = graph("nodedata-core", &[], &[]);
        graph.shipped.insert("nodedata-core".to_owned(), ["arrow-x".to_owned()].into());
        graph.shipped.insert("arrow-x".to_owned(), ["parquet".to_owned()].into());
        let findings = refusals(&graph);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].message.ends_with("nodedata-core -> arrow-x -> parquet"), "{}", findings[0]);
    }

    #[test]
    fn the_table_has_no_cycle() {
        let mut graph = CrateGraph::default();
        for edge in ALLOWED {
            graph.shipped.entry(edge.from.to_owned()).or_default().insert(edge.to.to_owned());
        }
        for edge in ALLOWED {
            assert_eq!(graph.way(edge.to, edge.from), None, "{} and {}", edge.from, edge.to);
        }
    }
}
