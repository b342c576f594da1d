use super::{Finding, TrackedFile};

/// Starts of paths that exist on one machine only, put together so that this file passes its own rule.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Absolute paths of somebody's machine in text files.
pub(super) fn check(files: &[TrackedFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for (idx, line) in file.text.as_deref().unwrap_or_default().lines().enumerate() {
            for path in MACHINE_PATHS.iter().filter(|path| starts_a_path(line, path)) {
                findings.push(
                    Finding::new(
                        &file.path,
                        format!("found a path below `{path}`"),
                        "use a path relative to the workspace, or a temporary folder made by the test",
                    )
                    .at_line(idx + 1),
                );
            }
        }
    }
    findings
}

/// Whether `prefix` stands in `line` as the start of a path, not inside a longer one.
fn starts_a_path(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        !before
            .is_some_and(|it| it.is_alphanumeric() || matches!(it, '_' | '-' | '.' | '/' | '}' | ')' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_paths_are_found() {
        for path in MACHINE_PATHS {
            let text = format!("a\nlet x = \"{path}a.mcap\";\n");
            let findings = check(&[TrackedFile::new("crates/a/src/lib.rs", &text)]);
            assert_eq!(findings.len(), 1, "{path}");
            assert_eq!(findings[0].line, Some(2));
        }
    }

    #[test]
    fn such_a_name_inside_a_relative_path_passes() {
        let text = format!("docs{}x and ..{}y", MACHINE_PATHS[0], MACHINE_PATHS[1]);
        assert_eq!(check(&[TrackedFile::new("README.md", &text)]), []);
    }
}
