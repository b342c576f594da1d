use super::{Finding, TrackedFile};

/// Longest file of ours, in lines.
const LINES_MAX: usize = 600;

/// Source files too long to be read from top to bottom. Tests and generated files may be longer.
pub(super) fn check(files: &[TrackedFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|it| it.is_rust() && !is_test(&it.path) && !it.is_generated()) {
        let n_lines = file.text.as_deref().map_or(0, |text| text.lines().count());
        if n_lines > LINES_MAX {
            findings.push(Finding::new(
                &file.path,
                format!("{n_lines} lines, at most {LINES_MAX} allowed"),
                "split it by what it holds; tests move to tests.rs beside it",
            ));
        }
    }
    findings
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n_findings(path: &str, n_lines: usize) -> usize {
        check(&[TrackedFile::new(path, &"x\n".repeat(n_lines))]).len()
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(n_findings("crates/a/src/big.rs", 601), 1);
        assert_eq!(n_findings("crates/a/src/big.rs", 600), 0);
    }

    #[test]
    fn tests_generated_files_and_other_languages_may_be_long() {
        assert_eq!(n_findings("crates/a/src/tests.rs", 900), 0);
        assert_eq!(n_findings("tests/it/convert.rs", 900), 0);
        assert_eq!(n_findings("docs/x.md", 900), 0);
        let text = format!("// {}{} by xtask\n{}", "@", "generated", "x\n".repeat(900));
        assert_eq!(check(&[TrackedFile::new("crates/a/src/table.rs", &text)]), []);
    }
}
