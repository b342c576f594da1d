use super::{Finding, TrackedFile, crate_graph::CrateGraph};

/// Crates that do not follow the workspace's lints, or do not say what they are for.
pub(super) fn check(files: &[TrackedFile], graph: &CrateGraph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, member) in &graph.members {
        let text = files.iter().find(|it| it.path == member.manifest).and_then(|it| it.text.as_deref());
        if !text.is_some_and(follows_workspace_lints) {
            findings.push(Finding::new(
                &member.manifest,
                format!("{name} does not follow the workspace's lints"),
                "add `[lints]` and below it `workspace = true`",
            ));
        }
        if member.description.as_deref().unwrap_or_default().trim().is_empty() {
            findings.push(Finding::new(
                &member.manifest,
                format!("{name} has no description"),
                "add `description = \"…\"`, one line on what the crate is for",
            ));
        }
    }
    findings
}

/// Whether the first key of the `[lints]` table is `workspace = true`; cargo allows no other beside it.
fn follows_workspace_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#'));
    lines.any(|line| line == "[lints]")
        && lines.next().is_some_and(|line| line.replace(' ', "") == "workspace=true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::crate_graph::Member;

    fn n_findings(manifest: &str, description: Option<&str>) -> usize {
        let member = Member {
            manifest: "crates/a/Cargo.toml".to_owned(),
            description: description.map(str::to_owned),
            ..Member::default()
        };
        let graph = CrateGraph { members: [("a".to_owned(), member)].into(), ..CrateGraph::default() };
        check(&[TrackedFile::new("crates/a/Cargo.toml", manifest)], &graph).len()
    }

    #[test]
    fn lints_and_description_are_wanted() {
        let good = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";
        assert_eq!(n_findings(good, Some("Reads a")), 0);
        assert_eq!(n_findings(good, None), 1);
        assert_eq!(n_findings("[package]\nname = \"a\"\n", Some("Reads a")), 1);
        assert_eq!(n_findings("[lints.clippy]\nall = \"allow\"\n", Some("Reads a")), 1);
        assert_eq!(n_findings("[lints]\n\n[dependencies]\nworkspace = true\n", Some("Reads a")), 1);
    }
}
