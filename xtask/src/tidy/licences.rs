use super::{
    Finding,
    crate_graph::{CrateGraph, Package},
};

/// Licences that put no duty on our users beyond naming the authors. The same list as in `deny.toml`.
const PERMISSIVE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "IJG",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "WTFPL",
    "Zlib",
    "bzip2-1.0.6",
];

/// Crates whose manifest names a file in the place of an expression, and what a person read in that file. `cargo deny`
/// reads such files by itself.
const READ_IN_FILES: &[(&str, &str)] = &[("tfrecord", "MIT")];

/// Dependencies whose licence is missing, unreadable or not permissive.
pub(super) fn check(graph: &CrateGraph) -> Vec<Finding> {
    graph.packages.iter().filter_map(check_package).collect()
}

fn check_package(package: &Package) -> Option<Finding> {
    let Package { name, version, license } = package;
    let hint =
        "replace the crate, or discuss the licence and add it to deny.toml and xtask/src/tidy/licences.rs";
    let in_file = READ_IN_FILES.iter().find(|it| it.0 == name).map(|it| it.1);
    let Some(license) = license.as_deref().or(in_file) else {
        return Some(Finding::new(name, format!("{name} {version} names no licence"), hint));
    };
    // Older crates write `MIT/Apache-2.0`, which the lax mode takes for OR.
    match spdx::Expression::parse_mode(license, spdx::ParseMode::LAX) {
        Err(_) => Some(Finding::new(
            name,
            format!("{name} {version} has licence `{license}`, which is no SPDX expression"),
            hint,
        )),
        Ok(expression) if expression.evaluate(|it| PERMISSIVE.contains(&it.to_string().as_str())) => None,
        Ok(_) => Some(Finding::new(
            name,
            format!("{name} {version} has licence `{license}`, which is not permissive"),
            hint,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(license: Option<&str>) -> bool {
        named("a", license)
    }

    fn named(name: &str, license: Option<&str>) -> bool {
        let license = license.map(str::to_owned);
        check_package(&Package { name: name.to_owned(), version: "1.0.0".to_owned(), license }).is_none()
    }

    #[test]
    fn permissive_licences_pass() {
        for license in [
            "MIT",
            "MIT/Apache-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "MIT OR GPL-3.0-only",
        ] {
            assert!(passes(Some(license)), "{license}");
        }
    }

    #[test]
    fn others_are_found() {
        for license in ["GPL-3.0-only", "MIT AND LGPL-2.1-only", "MPL-2.0", "Proprietary", ""] {
            assert!(!passes(Some(license)), "{license}");
        }
        assert!(!passes(None));
        assert!(named("tfrecord", None) && !named("tfrecord", Some("GPL-3.0-only")));
    }

    #[test]
    fn deny_toml_has_the_same_list() {
        let deny = std::fs::read_to_string(crate::workspace::root().join("deny.toml")).unwrap();
        let (_, list) = deny.split_once("allow = [").unwrap();
        let (list, _) = list.split_once(']').unwrap();
        let listed: Vec<&str> =
            list.split(',').map(|it| it.trim().trim_matches('"')).filter(|it| !it.is_empty()).collect();
        assert_eq!(listed, PERMISSIVE);
    }
}
