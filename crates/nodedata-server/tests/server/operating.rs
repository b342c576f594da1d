//! What `docs/operating.md` says of metrics is what the server tells.

use std::{collections::BTreeSet, path::Path};

use crate::site::Site;

fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    let names = words.filter(|it| it.starts_with("nodedata_"));
    // Parts of a histogram are named by what they are parts of.
    names.map(|it| it.trim_end_matches("_bucket").to_owned()).collect()
}

#[test]
fn every_metric_is_documented_and_the_dashboard_asks_for_no_other() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let site = Site::new();
    let told = site.get("metrics", None).text();
    let types = told.lines().filter_map(|it| it.strip_prefix("# TYPE ")?.split(' ').next());
    let told: BTreeSet<String> = types.map(str::to_owned).collect();
    let page = named(&std::fs::read_to_string(docs.join("operating.md")).unwrap());
    assert_eq!(page, told);
    let dashboard = std::fs::read_to_string(docs.join("grafana-dashboard.json")).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() >= 8);
    assert_eq!(named(&dashboard), told);
}
