use nodedata_core::visible::visible_markup as escaped;

use crate::{QualityReport, StreamSummary, plot};

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1a1a1a}\
table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd;\
vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}svg rect{fill:#3b6ea5}svg rect.none{fill:#c0392b}\
.warn{color:#8a6d00}.quarantine{color:#b35900}.fail{color:#b00020}code{font-size:.95em}";

/// Findings that the page lists; `--format json` has them all.
const LISTED_MAX: usize = 1000;

/// The report as one page: no script, no file beside it, every text escaped.
pub fn html(title: &str, report: &QualityReport) -> String {
    let title = escaped(title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"generator\" content=\"node-data quality\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    page.push_str(&format!(
        "<p>{} episodes, {} streams, {} findings, {} episodes quarantined.</p>\n",
        report.episodes,
        report.streams.len(),
        report.n_findings(),
        report.quarantined.len()
    ));
    rules(&mut page, report);
    findings(&mut page, report);
    streams(&mut page, &report.streams);
    page.push_str("</body>\n</html>\n");
    page
}

fn rules(page: &mut String, report: &QualityReport) {
    page.push_str("<h2>Rules</h2>\n<table>\n<tr><th>Code</th><th>Rule</th><th>Looks for</th><th>Level</th><th>Found</th></tr>\n");
    for rule in &report.rules {
        let level = rule.level.name();
        page.push_str(&format!(
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td class=\"{level}\">{level}</td><td class=\"n\">{}</td></tr>\n",
            rule.code,
            rule.rule,
            escaped(rule.about),
            rule.n_findings
        ));
    }
    page.push_str("</table>\n");
}

fn findings(page: &mut String, report: &QualityReport) {
    if report.findings.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Findings</h2>\n<table>\n<tr><th>Code</th><th>Level</th><th>Where</th><th>What</th></tr>\n",
    );
    for finding in report.findings.iter().take(LISTED_MAX) {
        let level = finding.level.name();
        page.push_str(&format!(
            "<tr><td><code>{}</code></td><td class=\"{level}\">{level}</td><td>{}</td><td>{}</td></tr>\n",
            finding.code,
            escaped(&finding.place()),
            escaped(&finding.message)
        ));
    }
    page.push_str("</table>\n");
    let rest = report.n_findings() - report.findings.len().min(LISTED_MAX) as u64;
    if rest > 0 {
        page.push_str(&format!("<p>And {rest} more.</p>\n"));
    }
}

fn streams(page: &mut String, streams: &[StreamSummary]) {
    page.push_str("<h2>Streams</h2>\n<table>\n<tr><th>Stream</th><th>Rows</th><th>Rate</th><th>Jitter</th><th>Longest gap</th><th>Over time</th><th>Intervals</th></tr>\n");
    for stream in streams {
        let millis = |it: Option<f64>| it.map_or_else(String::new, |it| format!("{:.2} ms", it / 1e6));
        page.push_str(&format!(
            "<tr><td><code>{}</code></td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td></tr>\n",
            escaped(&stream.name),
            stream.rows,
            stream.rate_hz.map_or_else(String::new, |it| format!("{it:.2} Hz")),
            millis(stream.jitter_ns),
            millis(stream.longest_gap_ns.map(|it| it as f64)),
            plot::timeline(&stream.timeline),
            plot::histogram(&stream.intervals)
        ));
    }
    page.push_str("</table>\n");
}
