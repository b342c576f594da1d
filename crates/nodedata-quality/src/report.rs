use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Level, Rule, Rules};

/// Findings that are told one by one; what comes after them is counted.
const TOLD_MAX: usize = 10_000;

/// One thing a rule found in one episode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QualityFinding {
    /// `ND-Q001` …
    pub code: &'static str,
    /// Name of the rule.
    pub rule: &'static str,
    /// What it means.
    pub level: Level,
    /// Position of the episode.
    pub episode: u64,
    /// Key of the episode.
    pub key: String,
    /// The stream, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The feature, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// What was found, and what was allowed.
    pub message: String,
    /// When, in nanoseconds, where it has a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ns: Option<i64>,
    /// Which row of the episode in the stream, from 0, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
}

impl QualityFinding {
    pub(crate) fn new(rule: Rule, level: Level, episode: u64, message: String) -> Self {
        Self {
            code: rule.code(),
            rule: rule.name(),
            level,
            episode,
            key: String::new(),
            stream: None,
            feature: None,
            message,
            time_ns: None,
            row: None,
        }
    }

    /// Where it is: episode, stream, feature, row, time.
    pub fn place(&self) -> String {
        let parts = [
            Some(format!("episode {} ({})", self.episode, self.key)),
            self.stream.as_ref().map(|it| format!("topic {it}")),
            self.feature.as_ref().map(|it| format!("feature `{it}`")),
            self.row.map(|it| format!("row {it}")),
            self.time_ns.map(|it| format!("time {it}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// What became of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleResult {
    /// `ND-Q001` …
    pub code: &'static str,
    /// Its name.
    pub rule: &'static str,
    /// What it looks for.
    pub about: &'static str,
    /// What a finding means.
    pub level: Level,
    /// How much it found.
    pub n_findings: u64,
}

/// An episode that is kept out of the splits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Position of the episode.
    pub episode: u64,
    /// Its key.
    pub key: String,
    /// The first finding's code.
    pub code: &'static str,
    /// The first finding, in words.
    pub reason: String,
}

/// One stream over all episodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StreamSummary {
    /// Its name.
    pub name: String,
    /// Rows.
    pub rows: u64,
    /// Earliest time in nanoseconds.
    pub first_ns: Option<i64>,
    /// Latest time.
    pub last_ns: Option<i64>,
    /// Rows per second.
    pub rate_hz: Option<f64>,
    /// Standard deviation of the intervals, in nanoseconds.
    pub jitter_ns: Option<f64>,
    /// Longest interval, in nanoseconds.
    pub longest_gap_ns: Option<i64>,
    /// Rows over time, by equal stretches from the first to the last time of all streams.
    pub timeline: Vec<u64>,
    /// How often intervals of each length occurred: upper end in nanoseconds, and number.
    pub intervals: Vec<(f64, u64)>,
}

/// Whether a file that begins like this is a report that was written as JSON, JUnit or HTML.
pub fn is_report(head: &str) -> bool {
    head.starts_with("{\"nd\":\"quality/1\"")
        || head.contains("<testsuite name=\"node-data quality\"")
        || head.contains("<meta name=\"generator\" content=\"node-data quality\">")
}

/// What the rules found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct QualityReport {
    /// `quality/1`.
    pub nd: &'static str,
    /// Episodes looked at.
    pub episodes: u64,
    /// Every rule that was looked at.
    pub rules: Vec<RuleResult>,
    /// What was found, by episode, stream, feature and code.
    pub findings: Vec<QualityFinding>,
    /// Further findings that are counted in `rules` but not told one by one.
    pub untold: u64,
    /// Episodes that are kept out of the splits.
    pub quarantined: Vec<Quarantined>,
    /// The streams.
    pub streams: Vec<StreamSummary>,
}

impl QualityReport {
    /// Puts findings in order and draws the conclusions. `keys` are those of the episodes by position.
    pub fn new(
        rules: &Rules,
        mut findings: Vec<QualityFinding>,
        streams: Vec<StreamSummary>,
        keys: &[String],
    ) -> Self {
        for finding in &mut findings {
            let key = usize::try_from(finding.episode).ok().and_then(|it| keys.get(it));
            finding.key = key.cloned().unwrap_or_default();
        }
        findings.sort_by(|one, other| {
            let order = |it: &QualityFinding| (it.episode, it.stream.clone(), it.feature.clone(), it.code);
            order(one).cmp(&order(other))
        });
        let count = |rule: Rule| findings.iter().filter(|it| it.code == rule.code()).count() as u64;
        let on = Rule::ALL.into_iter().filter(|it| rules.is_on(*it));
        let rule_results = on.map(|it| RuleResult {
            code: it.code(),
            rule: it.name(),
            about: it.about(),
            level: rules.level(it),
            n_findings: count(it),
        });
        let rule_results = rule_results.collect();
        let mut quarantined: BTreeMap<u64, Quarantined> = BTreeMap::new();
        for finding in findings.iter().filter(|it| it.level == Level::Quarantine) {
            quarantined.entry(finding.episode).or_insert_with(|| Quarantined {
                episode: finding.episode,
                key: finding.key.clone(),
                code: finding.code,
                reason: finding.message.clone(),
            });
        }
        let untold = findings.len().saturating_sub(TOLD_MAX) as u64;
        if untold > 0 {
            // What decides about the run is told first.
            findings.sort_by_key(|it| std::cmp::Reverse(it.level));
            findings.truncate(TOLD_MAX);
        }
        Self {
            nd: "quality/1",
            episodes: keys.len() as u64,
            rules: rule_results,
            findings,
            untold,
            quarantined: quarantined.into_values().collect(),
            streams,
        }
    }

    /// The first finding that fails a run.
    pub fn failure(&self) -> Option<&QualityFinding> {
        self.findings.iter().find(|it| it.level == Level::Fail)
    }

    /// Findings of all rules, told or not.
    pub fn n_findings(&self) -> u64 {
        self.rules.iter().map(|it| it.n_findings).sum()
    }
}
