use super::{Finding, TrackedFile};

/// Names that say nothing about what a file holds.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "types", "misc"];

/// Source files (or module folders) named after nothing.
pub(super) fn check(files: &[TrackedFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|it| it.is_rust()) {
        let stem = file.path.strip_suffix(".rs").unwrap_or(&file.path);
        if let Some(name) = stem.split('/').find(|it| EMPTY_NAMES.contains(it)) {
            findings.push(Finding::new(
                &file.path,
                format!("`{name}` does not say what the file holds"),
                "name it after its content, such as tape.rs or chunk_index.rs",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_are_found() {
        for path in ["crates/a/src/utils.rs", "crates/a/src/common/mod.rs", "xtask/src/types.rs"] {
            assert_eq!(check(&[TrackedFile::new(path, "")]).len(), 1, "{path}");
        }
    }

    #[test]
    fn names_that_only_contain_such_a_word_pass() {
        for path in ["crates/a/src/message_types.rs", "docs/common.md", "crates/a/src/utilisation.rs"] {
            assert_eq!(check(&[TrackedFile::new(path, "")]), [], "{path}");
        }
    }
}
