use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::workspace::{self, Result};

/// What cargo says about the workspace: its crates, and everything they pull in.
#[derive(Debug, Default)]
pub(super) struct CrateGraph {
    /// Our crates, by name.
    pub(super) members: BTreeMap<String, Member>,
    /// Every crate of the build that is not ours.
    pub(super) packages: Vec<Package>,
    /// Normal and build dependencies of each crate (ours and others), by name.
    pub(super) shipped: BTreeMap<String, BTreeSet<String>>,
}

/// One of our crates.
#[derive(Debug, Default)]
pub(super) struct Member {
    /// Its `Cargo.toml`, relative to the root.
    pub(super) manifest: String,
    pub(super) description: Option<String>,
    /// Our crates it needs to run.
    pub(super) needs: BTreeSet<String>,
    /// Our crates it needs for its tests only.
    pub(super) needs_in_tests: BTreeSet<String>,
    /// What it asks of our crates to run, beside that they are there.
    pub(super) asks: Vec<Asked>,
    /// The features it has when nobody says otherwise.
    pub(super) default_features: BTreeSet<String>,
}

/// The features that a crate asks of another.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) of: String,
    pub(super) default_features: bool,
    pub(super) features: BTreeSet<String>,
}

/// A crate of somebody else.
#[derive(Debug, Clone)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// SPDX expression, where the crate has one.
    pub(super) license: Option<String>,
}

impl CrateGraph {
    /// A path of dependencies from `from` to `to` that is part of what is shipped.
    pub(super) fn way(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut open = vec![from];
        while let Some(name) = open.pop() {
            if name == to {
                let mut way = vec![name];
                while let Some(before) = came_from.get(way[way.len() - 1]).filter(|it| !way.contains(it)) {
                    way.push(before);
                }
                way.reverse();
                return Some(way.into_iter().map(str::to_owned).collect());
            }
            for next in self.shipped.get(name).into_iter().flatten() {
                if next != from && !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, name);
                    open.push(next);
                }
            }
        }
        None
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_members: BTreeSet<String>,
    workspace_root: String,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct MetadataPackage {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    description: Option<String>,
    manifest_path: String,
    dependencies: Vec<MetadataDependency>,
    #[serde(default)]
    features: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
struct MetadataDependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
    #[serde(default)]
    uses_default_features: bool,
    #[serde(default)]
    features: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// Asks cargo, without features that are off by default.
///
/// # Errors
/// When cargo cannot resolve the workspace.
pub(super) fn read() -> Result<CrateGraph> {
    let json = workspace::stdout_of(&mut workspace::cargo(&["metadata", "--format-version", "1"]))?;
    parse(&json)
}

fn parse(json: &str) -> Result<CrateGraph> {
    let metadata: Metadata =
        serde_json::from_str(json).map_err(|err| format!("cannot read what `cargo metadata` says: {err}"))?;
    let name_of: BTreeMap<&str, &str> =
        metadata.packages.iter().map(|it| (it.id.as_str(), it.name.as_str())).collect();
    let mut graph = CrateGraph::default();
    for package in &metadata.packages {
        if metadata.workspace_members.contains(&package.id) {
            graph.members.insert(package.name.clone(), member(package, &metadata.workspace_root));
        } else {
            graph.packages.push(Package {
                name: package.name.clone(),
                version: package.version.clone(),
                license: package.license.clone(),
            });
        }
    }
    for node in &metadata.resolve.nodes {
        let Some(name) = name_of.get(node.id.as_str()) else { continue };
        let shipped = graph.shipped.entry((*name).to_owned()).or_default();
        for dep in &node.deps {
            let tests_only = dep.dep_kinds.iter().all(|it| it.kind.as_deref() == Some("dev"));
            if let (false, Some(target)) = (tests_only, name_of.get(dep.pkg.as_str())) {
                shipped.insert((*target).to_owned());
            }
        }
    }
    Ok(graph)
}

fn member(package: &MetadataPackage, workspace_root: &str) -> Member {
    let manifest = package.manifest_path.strip_prefix(workspace_root).unwrap_or(&package.manifest_path);
    let mut member = Member {
        manifest: manifest.trim_start_matches(['/', '\\']).replace('\\', "/"),
        description: package.description.clone(),
        default_features: package.features.get("default").cloned().unwrap_or_default(),
        ..Member::default()
    };
    for dependency in package.dependencies.iter().filter(|it| it.path.is_some()) {
        if dependency.kind.as_deref() == Some("dev") {
            member.needs_in_tests.insert(dependency.name.clone());
        } else {
            member.needs.insert(dependency.name.clone());
            member.asks.push(Asked {
                of: dependency.name.clone(),
                default_features: dependency.uses_default_features,
                features: dependency.features.clone(),
            });
        }
    }
    member
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{
        "packages": [
            {"id": "a", "name": "ours", "version": "0.1.0", "license": "MIT", "description": "x",
             "manifest_path": "/w/crates/ours/Cargo.toml",
             "features": {"default": ["x"], "x": []},
             "dependencies": [{"name": "other", "kind": null, "path": "/w/crates/other",
                               "uses_default_features": true, "features": ["y"]},
                              {"name": "kit", "kind": "dev", "path": "/w/crates/kit"},
                              {"name": "serde", "kind": null, "path": null}]},
            {"id": "s", "name": "serde", "version": "1.0.0", "license": "MIT OR Apache-2.0", "description": null,
             "manifest_path": "/r/serde/Cargo.toml", "dependencies": []},
            {"id": "t", "name": "tokio", "version": "1.0.0", "license": "MIT", "description": null,
             "manifest_path": "/r/tokio/Cargo.toml", "dependencies": []}
        ],
        "workspace_members": ["a"],
        "workspace_root": "/w",
        "resolve": {"nodes": [
            {"id": "a", "deps": [{"pkg": "s", "dep_kinds": [{"kind": null}, {"kind": "dev"}]}]},
            {"id": "s", "deps": [{"pkg": "t", "dep_kinds": [{"kind": "dev"}]}]}
        ]}
    }"#;

    #[test]
    fn members_and_ways() {
        let graph = parse(METADATA).unwrap();
        let ours = &graph.members["ours"];
        assert_eq!(ours.manifest, "crates/ours/Cargo.toml");
        assert_eq!(ours.needs, BTreeSet::from(["other".to_owned()]));
        assert_eq!(ours.needs_in_tests, BTreeSet::from(["kit".to_owned()]));
        assert_eq!(ours.default_features, BTreeSet::from(["x".to_owned()]));
        let [asked] = &ours.asks[..] else { panic!("{:?}", ours.asks) };
        assert_eq!((asked.of.as_str(), asked.default_features), ("other", true));
        assert_eq!(asked.features, BTreeSet::from(["y".to_owned()]));
        assert_eq!(graph.packages.len(), 2);
        assert_eq!(graph.way("ours", "serde"), Some(vec!["ours".to_owned(), "serde".to_owned()]));
        assert_eq!(graph.way("ours", "tokio"), None, "serde needs tokio for its tests only");
    }
}
