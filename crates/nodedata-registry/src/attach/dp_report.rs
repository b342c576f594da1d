use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind, Locus, Result};
use serde::Deserialize;
use serde_json::Value;

/// A report of differential privacy. A claim says for what unit, under which adjacency and over which part
/// of the data it holds: a bare epsilon says nothing.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DpReport {
    /// `attachment/dp-report/1`.
    pub nd: String,
    /// `owner/name@revision`.
    pub subject: String,
    /// What is claimed.
    pub claim: Claim,
    /// Over which part of the data.
    pub scope: Scope,
    /// How noise was added.
    pub mechanism: Vec<Mechanism>,
    /// How epsilon was added up.
    pub accounting: Accounting,
    /// What computed it.
    pub implementation: Implementation,
    /// Who looked at it.
    pub review: Review,
}

/// What is claimed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Claim {
    /// `pure-dp`, `approximate-dp`, `zcdp`, `renyi-dp` or `gaussian-dp`.
    pub definition: String,
    /// Privacy loss.
    pub epsilon: f64,
    /// Probability that the loss is larger; 0 for pure differential privacy.
    #[serde(default)]
    pub delta: f64,
    /// `central`, `local` or `shuffle`.
    pub model: String,
    /// Which two datasets are neighbours.
    pub adjacency: String,
    /// Whose contribution is protected.
    pub unit: PrivacyUnit,
}

/// Whose contribution is protected.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PrivacyUnit {
    /// `person`, `household`, `episode`, …
    pub kind: String,
    /// The column that tells units apart.
    pub column: String,
    /// Most contributions of one unit.
    pub max_contributions: u64,
}

/// Over which part of the data a claim holds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Scope {
    /// What it holds for.
    pub covers: Vec<String>,
    /// What it does not hold for.
    pub not_covered: Vec<String>,
    /// The revisions that the loss is added up over.
    pub composed_over: Vec<String>,
    /// Whether choosing parameters is accounted for.
    pub tuning_included: bool,
    /// What is published exactly.
    #[serde(default)]
    pub invariants: Vec<String>,
}

/// How noise was added.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Mechanism {
    /// `gaussian`, `laplace`, …
    pub name: String,
    /// Norm and value.
    pub sensitivity: Value,
    /// `none`, `poisson`, …
    pub sampling: String,
}

/// How the loss was added up.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Accounting {
    /// `pld`, `rdp`, …
    pub method: String,
    /// Program.
    pub library: String,
    /// Its version.
    pub version: String,
}

/// What computed the noise.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Implementation {
    /// Program.
    pub library: String,
    /// Its version.
    pub version: String,
    /// Whether the noise comes from a secure source.
    pub secure_noise: bool,
    /// Whether attacks on floating-point noise were thought of.
    pub float_safe: bool,
}

/// Who looked at it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Review {
    /// Who.
    pub by: String,
    /// When.
    pub at: String,
    /// In words, for the card.
    pub statement: String,
}

const DEFINITIONS: [&str; 5] = ["pure-dp", "approximate-dp", "zcdp", "renyi-dp", "gaussian-dp"];
const MODELS: [&str; 3] = ["central", "local", "shuffle"];
const ADJACENCIES: [&str; 4] = ["add-remove-one", "replace-one", "zero-out-one", "edge"];

impl DpReport {
    /// Reads and checks a report.
    ///
    /// # Errors
    /// `Config`, with the field, when something is missing or says nothing.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|err| Error::new(ErrorKind::Config, "the report is not JSON").with_source(err))?;
        for (pointer, why) in REQUIRED {
            if value.pointer(pointer).is_none_or(Value::is_null) {
                return refused(&pointer[1..].replace('/', "."), format!("the report does not say {why}"));
            }
        }
        let report: Self = serde_json::from_value(value)
            .map_err(|err| Error::new(ErrorKind::Config, "the report cannot be read").with_source(err))?;
        report.check()?;
        Ok(report)
    }

    fn check(&self) -> Result<()> {
        let Claim { definition, epsilon, delta, model, adjacency, unit } = &self.claim;
        if self.nd != "attachment/dp-report/1" {
            return refused("nd", format!("`{}` is no version of the report we know", self.nd));
        }
        for (field, found, known) in [
            ("claim.definition", definition, DEFINITIONS.as_slice()),
            ("claim.model", model, &MODELS),
            ("claim.adjacency", adjacency, &ADJACENCIES),
        ] {
            if !known.contains(&found.as_str()) {
                return refused(field, format!("`{found}` is none of {}", known.join(", ")));
            }
        }
        if !(epsilon.is_finite() && *epsilon > 0.0) {
            return refused("claim.epsilon", format!("{epsilon} is no privacy loss"));
        }
        if !(0.0..1.0).contains(delta) {
            return refused("claim.delta", format!("{delta} is no probability"));
        }
        match definition.as_str() {
            "pure-dp" if *delta != 0.0 => {
                return refused(
                    "claim.delta",
                    format!("pure differential privacy has no delta, this is {delta}"),
                );
            }
            "approximate-dp" if *delta == 0.0 => {
                return refused(
                    "claim.delta",
                    "approximate differential privacy has a delta above 0".to_owned(),
                );
            }
            _ => {}
        }
        if unit.max_contributions == 0 {
            return refused(
                "claim.unit.max_contributions",
                "a unit that contributes nothing is not protected".to_owned(),
            );
        }
        let lists =
            [("scope.covers", &self.scope.covers), ("scope.composed_over", &self.scope.composed_over)];
        if let Some((field, _)) = lists.iter().find(|it| it.1.is_empty()) {
            return refused(field, "the claim holds for nothing".to_owned());
        }
        if let Some(both) = self.scope.covers.iter().find(|it| self.scope.not_covered.contains(it)) {
            return refused("scope", format!("`{both}` is covered and not covered"));
        }
        if self.mechanism.is_empty() {
            return refused("mechanism", "no mechanism is named".to_owned());
        }
        let texts = [
            ("claim.unit.kind", &unit.kind),
            ("claim.unit.column", &unit.column),
            ("accounting.method", &self.accounting.method),
            ("accounting.version", &self.accounting.version),
            ("review.by", &self.review.by),
            ("review.statement", &self.review.statement),
        ];
        match texts.iter().find(|it| it.1.trim().is_empty()) {
            Some((field, _)) => refused(field, "it is empty".to_owned()),
            None => Ok(()),
        }
    }

    /// What the card says: the claim with everything it holds for, never epsilon alone.
    pub fn sentence(&self) -> String {
        let Claim { definition, epsilon, delta, model, adjacency, unit } = &self.claim;
        let delta = if *delta > 0.0 { format!(", delta {delta:e}") } else { String::new() };
        format!(
            "{definition} ({model}, {adjacency}) with epsilon {epsilon}{delta} for one {} (`{}`, at most {} contributions), over revisions {}; it covers {}{}. {}",
            unit.kind,
            unit.column,
            unit.max_contributions,
            self.scope.composed_over.join(", "),
            self.scope.covers.join(", "),
            match self.scope.not_covered.as_slice() {
                [] => String::new(),
                not => format!(" and does not cover {}", not.join(", ")),
            },
            self.review.statement,
        )
    }
}

/// The losses of reports added up by unit: an upper bound on what all of them together reveal about one,
/// by basic composition. Only reports of one adjacency and definition are added to each other.
pub fn epsilon_bounds(reports: &[DpReport]) -> BTreeMap<String, (f64, f64)> {
    let mut bounds: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for Claim { definition, epsilon, delta, adjacency, unit, .. } in reports.iter().map(|it| &it.claim) {
        // Other measures than epsilon and delta do not add up like them.
        if !matches!(definition.as_str(), "pure-dp" | "approximate-dp") {
            continue;
        }
        let bound = bounds.entry(format!("{} `{}`, {adjacency}", unit.kind, unit.column)).or_default();
        bound.0 += epsilon;
        bound.1 += delta;
    }
    bounds
}

/// What a report must say, and the question it answers.
const REQUIRED: [(&str, &str); 15] = [
    ("/nd", "which version of the report it is"),
    ("/subject", "which revision it is about"),
    ("/claim/definition", "what kind of privacy is claimed"),
    ("/claim/epsilon", "how large the privacy loss is"),
    ("/claim/model", "where noise is added"),
    ("/claim/adjacency", "which datasets are neighbours"),
    ("/claim/unit", "whose contribution is protected"),
    ("/claim/unit/max_contributions", "how much one unit contributes at most"),
    ("/scope/covers", "what the claim holds for"),
    ("/scope/not_covered", "what the claim does not hold for"),
    ("/scope/composed_over", "which revisions the loss is added up over"),
    ("/scope/tuning_included", "whether choosing parameters is accounted for"),
    ("/mechanism", "how noise was added"),
    ("/accounting", "how the loss was added up"),
    ("/review", "who looked at it"),
];

fn refused<T>(field: &str, message: String) -> Result<T> {
    Err(Error::new(ErrorKind::Config, message)
        .at(Locus::feature(field))
        .with_hint("say for what unit, under which adjacency and over what scope the claim holds"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example() -> Value {
        serde_json::from_slice(include_bytes!("example_dp_report.json")).unwrap()
    }

    fn parse(value: &Value) -> Result<DpReport> {
        DpReport::parse(value.to_string().as_bytes())
    }

    #[test]
    fn a_claim_without_what_it_holds_for_is_refused() {
        parse(&example()).unwrap();
        for (pointer, _) in REQUIRED {
            let mut value = example();
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            value.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field).unwrap();
            let err = parse(&value).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Config, "{pointer}");
            assert_eq!(err.locus().feature.as_deref(), Some(&*pointer[1..].replace('/', ".")));
        }
    }

    #[test]
    fn claims_that_say_nothing_are_refused() {
        for (pointer, bad) in [
            ("/claim/epsilon", json!(0.0)),
            ("/claim/epsilon", json!(-1)),
            ("/claim/epsilon", json!("2")),
            ("/claim/delta", json!(1.0)),
            ("/claim/delta", json!(0.0)),
            ("/claim/definition", json!("pure-dp")),
            ("/claim/definition", json!("private")),
            ("/claim/adjacency", json!("near")),
            ("/claim/unit/kind", json!(" ")),
            ("/claim/unit/max_contributions", json!(0)),
            ("/scope/covers", json!([])),
            ("/scope/not_covered", json!(["stats.json"])),
            ("/mechanism", json!([])),
            ("/review/statement", json!("")),
        ] {
            let mut value = example();
            *value.pointer_mut(pointer).unwrap() = bad;
            assert_eq!(parse(&value).unwrap_err().kind(), ErrorKind::Config, "{pointer}");
        }
    }

    #[test]
    fn the_card_tells_the_whole_claim_and_losses_add_up() {
        let report = parse(&example()).unwrap();
        let sentence = report.sentence();
        for part in ["epsilon 2,", "delta 1e-7", "one person", "`operator_id`", "40", "add-remove-one", "rgb"]
        {
            assert!(sentence.contains(part), "{part} in {sentence}");
        }
        let bounds = epsilon_bounds(&[report.clone(), report]);
        assert_eq!(bounds["person `operator_id`, add-remove-one"], (4.0, 2e-7));
    }
}
