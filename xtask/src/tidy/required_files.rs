use std::collections::BTreeSet;

use super::{Finding, TrackedFile, crate_graph::CrateGraph};

/// Files a reader expects, with what they are for.
const REQUIRED: &[(&str, &str)] = &[
    ("README.md", "what the project is for, and the two commands"),
    ("LICENSE-MIT", "one of the two licences"),
    ("LICENSE-APACHE", "one of the two licences"),
    ("deny.toml", "the licence policy"),
    ("docs/architecture.md", "the map and the invariants"),
    ("docs/changelog.md", "what changed, in the user's words"),
    ("docs/performance.md", "the figures and how they were made"),
    ("docs/reliability.md", "what is promised, how that is tested, and what is not covered"),
];

const ARCHITECTURE: &str = "docs/architecture.md";

/// Missing documents, fixtures of unknown origin, and crates the map does not know.
pub(super) fn check(files: &[TrackedFile], graph: &CrateGraph) -> Vec<Finding> {
    let mut findings = Vec::new();
    let has = |path: &str| files.iter().any(|it| it.path == path);
    for (path, what) in REQUIRED.iter().filter(|(path, _)| !has(path)) {
        findings.push(Finding::new(*path, "the file is missing", format!("it holds {what}")));
    }
    let folders: BTreeSet<&str> = files
        .iter()
        .filter_map(|it| it.path.strip_prefix("fixtures/")?.split_once('/'))
        .map(|(folder, _)| folder)
        .collect();
    for folder in folders {
        let path = format!("fixtures/{folder}/SOURCE.md");
        if !has(&path) {
            findings.push(Finding::new(
                path,
                "the fixture's origin is missing",
                "say where the files come from, what made them in which version, and under which licence",
            ));
        }
    }
    let map = files.iter().find(|it| it.path == ARCHITECTURE).and_then(|it| it.text.as_deref());
    if let Some(map) = map {
        for name in graph.members.keys().filter(|name| !map.contains(&format!("`{name}`"))) {
            findings.push(Finding::new(
                ARCHITECTURE,
                format!("the map does not name `{name}`"),
                "add one line on what the crate is for",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::crate_graph::Member;

    fn good() -> Vec<TrackedFile> {
        REQUIRED.iter().map(|(path, _)| TrackedFile::new(path, "`a`")).collect()
    }

    fn graph() -> CrateGraph {
        CrateGraph { members: [("a".to_owned(), Member::default())].into(), ..CrateGraph::default() }
    }

    #[test]
    fn each_missing_document_is_found() {
        assert_eq!(check(&good(), &graph()), []);
        for (path, _) in REQUIRED {
            let files: Vec<TrackedFile> = good().into_iter().filter(|it| it.path != *path).collect();
            assert_eq!(check(&files, &graph()).len(), 1, "{path}");
        }
    }

    #[test]
    fn a_fixture_without_source_is_found() {
        let mut files = good();
        files.push(TrackedFile::new("fixtures/mcap/a.mcap", ""));
        assert_eq!(check(&files, &graph()).len(), 1);
        files.push(TrackedFile::new("fixtures/mcap/SOURCE.md", ""));
        assert_eq!(check(&files, &graph()), []);
    }

    #[test]
    fn a_crate_missing_on_the_map_is_found() {
        let mut graph = graph();
        graph.members.insert("b".to_owned(), Member::default());
        let findings = check(&good(), &graph);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].message, "the map does not name `b`");
    }
}
