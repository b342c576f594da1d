//! What has to hold however large a dataset is: time and memory of opening, resuming and reading on.

use std::{path::Path, process::Command};

use serde::{Deserialize, Serialize};

use super::script;
use crate::{
    bench::report::goal_table,
    workspace::{self, Result},
};

/// What `--only` calls it.
pub(super) const NAME: &str = "stream-scale";

/// One thing that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Finding {
    what: String,
    found: f64,
    /// The goal.
    at_most: f64,
    unit: String,
}

/// Measures all of it with an interpreter that has the wheel. Sets stay below `folder`.
///
/// # Errors
/// When a set cannot be made or read.
pub(super) fn run(python: &Path, folder: &Path) -> Result<Vec<Finding>> {
    eprintln!("stream scale: sets are made on first use");
    let mut command = Command::new(python);
    command.arg(script("scale.py")).arg(folder.join("scale")).env("OPENBLAS_NUM_THREADS", "1");
    parsed(&workspace::stdout_of(&mut command)?)
}

/// What the script says on its last line.
fn parsed(said: &str) -> Result<Vec<Finding>> {
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|err| format!("cannot read what scale.py said: {err}"))
}

/// The table for `docs/performance.md`.
pub(super) fn markdown(findings: &[Finding]) -> String {
    goal_table(findings.iter().map(|it| {
        let Finding { what, found, at_most, unit } = it;
        let found_text = format!("{} {unit}", short(*found));
        (format!("{what}: ≤ {} {unit}", short(*at_most)), found_text, found <= at_most)
    }))
}

/// A number with as many digits as tell something.
fn short(number: f64) -> String {
    if number >= 10.0 || number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_says_is_held_against_the_goals() {
        let said = "some warning\n[{\"what\": \"open\", \"found\": 0.25, \"at_most\": 1.0, \"unit\": \"s\"}, \
                    {\"what\": \"state\", \"found\": 1024, \"at_most\": 1023, \"unit\": \"bytes\"}]\n";
        let text = markdown(&parsed(said).unwrap());
        assert!(text.contains("| open: ≤ 1 s | 0.250 s | met |"), "{text}");
        assert!(text.contains("| state: ≤ 1023 bytes | 1024 bytes | **missed** |"), "{text}");
        assert!(parsed("").is_err() && parsed("nothing").is_err());
    }
}
