use std::path::{Path, PathBuf};

use nodedata_core::{Error, ErrorKind, Locus, Result, visible::visible};
use nodedata_io::{Writing, refuse_foreign_file, write_file};
use nodedata_quality::{QualityReport, html, is_report, junit};

use crate::{human, message};

/// Writes a report in the format that each file's name asks for.
///
/// # Errors
/// `Config` for another ending, `Io` when a file cannot be written.
pub(crate) fn write_all(paths: &[PathBuf], title: &str, report: &QualityReport) -> Result<()> {
    for path in paths {
        let text = match ending(path)? {
            Ending::Json => message::json_line(report)?,
            Ending::JUnit => junit(report),
            Ending::Html => html(title, report),
        };
        write_file(path, text.as_bytes(), Writing::Replace)?;
    }
    Ok(())
}

enum Ending {
    Json,
    JUnit,
    Html,
}

fn ending(path: &Path) -> Result<Ending> {
    match path.extension().and_then(|it| it.to_str()) {
        Some("json") => Ok(Ending::Json),
        Some("xml") => Ok(Ending::JUnit),
        Some("html") => Ok(Ending::Html),
        _ => Err(Error::new(ErrorKind::Config, "the name of a report says no format")
            .at(Locus::path(path))
            .with_hint("end it in .json, .xml (JUnit) or .html")),
    }
}

/// Refuses names that say no format, and files that are no report of an earlier run, before any work is done.
///
/// # Errors
/// `Config`; `Io` when what is there cannot be read.
pub(crate) fn check_names(paths: &[PathBuf]) -> Result<()> {
    paths.iter().try_for_each(|path| {
        ending(path)?;
        refuse_foreign_file(path, "report", is_report)
    })
}

/// The findings for people; empty when there is none.
pub(crate) fn told(report: &QualityReport) -> String {
    const SHOWN_MAX: usize = 50;
    let mut text = String::new();
    for finding in report.findings.iter().take(SHOWN_MAX) {
        let level = finding.level.name();
        text.push_str(&format!(
            "{} {level}: {}\n  --> {}\n",
            finding.code,
            visible(&finding.message),
            visible(&finding.place())
        ));
    }
    let rest = report.n_findings().saturating_sub(report.findings.len().min(SHOWN_MAX) as u64);
    if rest > 0 {
        text.push_str(&format!("and {} more; `--report FILE.json` has them all\n", human::count(rest)));
    }
    text
}
