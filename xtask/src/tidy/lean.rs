use super::{Finding, crate_graph::CrateGraph};

/// The crate that is the command.
const COMMAND: &str = "nodedata-cli";

/// What a lean build of the command leaves out.
const LEFT_OUT: [&str; 3] = ["remote", "server", "video-decode"];

/// Crates that bring back what a lean build leaves out, and features of the command that are not on by default.
///
/// A feature is there for everybody as soon as one crate asks for it, so only the command may.
pub(super) fn check(graph: &CrateGraph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, member) in &graph.members {
        for asked in &member.asks {
            let by_default = |it: &str| {
                let other = graph.members.get(&asked.of);
                asked.default_features && other.is_some_and(|other| other.default_features.contains(it))
            };
            let brought = LEFT_OUT.into_iter().find(|it| asked.features.contains(*it) || by_default(it));
            if let Some(feature) = brought {
                findings.push(Finding::new(
                    &member.manifest,
                    format!("{name} always asks {} for `{feature}`, which a lean build leaves out", asked.of),
                    "take the dependency from the workspace, without default features; a feature of its own may ask for it",
                ));
            }
        }
    }
    let command = graph.members.get(COMMAND);
    for feature in LEFT_OUT {
        if let Some(member) = command.filter(|it| !it.default_features.contains(feature)) {
            findings.push(Finding::new(
                &member.manifest,
                format!("`{feature}` is not on by default"),
                "what people install has all of it: name it under `default`",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::crate_graph::{Asked, Member};

    fn names(names: &[&str]) -> std::collections::BTreeSet<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    fn n_findings(default_features: bool, features: &[&str], on_by_default: &[&str]) -> usize {
        let asked = Asked { of: "io".to_owned(), default_features, features: names(features) };
        let command = Member { default_features: names(on_by_default), ..Member::default() };
        let io = Member { default_features: names(&["remote"]), ..Member::default() };
        let user = Member { asks: vec![asked], ..Member::default() };
        let members = [(COMMAND, command), ("io", io), ("user", user)];
        let members = members.map(|(name, member)| (name.to_owned(), member)).into();
        check(&CrateGraph { members, ..CrateGraph::default() }).len()
    }

    #[test]
    fn only_the_command_asks_for_what_a_lean_build_leaves_out() {
        assert_eq!(n_findings(false, &["runtime"], &LEFT_OUT), 0);
        assert_eq!(n_findings(true, &[], &LEFT_OUT), 1);
        assert_eq!(n_findings(false, &["remote"], &LEFT_OUT), 1);
        assert_eq!(n_findings(false, &[], &["remote", "server"]), 1);
    }
}
