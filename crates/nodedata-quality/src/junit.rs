use nodedata_core::visible::{visible, visible_markup_lines as escaped};

use crate::{Level, QualityReport};

/// The report as JUnit XML: one test case a rule, one failure per finding that is more than a warning.
/// Warnings stand in the case's output, so that a CI job stays green for them.
pub fn junit(report: &QualityReport) -> String {
    let failed = |level: Level| Level::Warn < level;
    let n_failures = report.rules.iter().filter(|it| it.n_findings > 0 && failed(it.level)).count();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"node-data quality\" tests=\"{}\" failures=\"{n_failures}\">\n",
        report.rules.len()
    );
    for rule in &report.rules {
        let (code, name, about) = (rule.code, rule.rule, escaped(rule.about));
        if rule.n_findings == 0 {
            text.push_str(&format!("<testcase classname=\"{code}\" name=\"{name}: {about}\"/>\n"));
            continue;
        }
        text.push_str(&format!("<testcase classname=\"{code}\" name=\"{name}: {about}\">\n"));
        let told = report.findings.iter().filter(|it| it.code == code);
        let mut lines: String =
            told.map(|it| format!("{}\n  --> {}\n", visible(&it.message), visible(&it.place()))).collect();
        let n_told = report.findings.iter().filter(|it| it.code == code).count() as u64;
        if n_told < rule.n_findings {
            lines.push_str(&format!("and {} more\n", rule.n_findings - n_told));
        }
        let lines = escaped(&lines);
        if failed(rule.level) {
            let n = rule.n_findings;
            text.push_str(&format!("<failure message=\"{n} found\" type=\"{code}\">{lines}</failure>\n"));
        } else {
            text.push_str(&format!("<system-out>{lines}</system-out>\n"));
        }
        text.push_str("</testcase>\n");
    }
    text.push_str("</testsuite>\n</testsuites>\n");
    text
}
