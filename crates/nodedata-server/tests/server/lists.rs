//! Lists of datasets, with many of them.

use std::time::Duration;

use nodedata_registry::{DataClass, NewDataset, NewDeclaration, Sensitivity, Visibility, create, declare};
use reqwest::Method;

use crate::{protocol::none, site::Site};

/// Makes datasets past the server.
fn make(site: &Site, names: &[&str], visibility: Visibility, class: DataClass) {
    for name in names {
        let dataset: nodedata_registry::DatasetName = name.parse().unwrap();
        let mut new = NewDataset::new(dataset.clone(), dataset.owner());
        new.facts.title = Some("Arm picks cups".to_owned());
        (new.visibility, new.sensitivity.class) = (visibility, class);
        if class.needs_gate() {
            new.sensitivity.gate = Some(site.gate(name, "agree", "manual"));
        }
        create(&site.direct(), &new).unwrap();
    }
}

fn list(
    site: &Site,
    query: &str,
    token: Option<&nodedata_registry::http::Token>,
) -> (Vec<String>, Option<String>) {
    let answer = site.get(&format!("v1/datasets?{query}"), token);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let datasets = told["datasets"].as_array().unwrap().iter();
    let names = datasets.map(|it| it["name"].as_str().unwrap().to_owned()).collect();
    (names, told["next"].as_str().map(ToOwned::to_owned))
}

#[test]
fn lists_come_in_pages_by_filters_and_by_words() {
    let site = Site::new();
    make(&site, &["acme/a", "acme/b", "other/c", "acme/d"], Visibility::Public, DataClass::None);
    make(&site, &["acme/faces"], Visibility::Public, DataClass::Biometric);
    make(&site, &["acme/secret"], Visibility::Private, DataClass::None);
    let (first, next) = list(&site, "limit=3", None);
    assert_eq!((first.join(" ").as_str(), next.as_deref()), ("acme/a acme/b acme/d", Some("acme/d")));
    let (rest, next) = list(&site, "limit=3&after=acme/d", None);
    assert_eq!((rest.join(" ").as_str(), next), ("acme/faces other/c", None));
    let of = |query: &str| list(&site, query, None).0.join(" ");
    assert_eq!(of("owner=other"), "other/c");
    assert_eq!(of("class=biometric"), "acme/faces");
    assert_eq!([of("gated=true"), of("gated=false&limit=2")], ["acme/faces", "acme/a acme/b"]);
    assert_eq!(of("q=cup%20other"), "other/c");
    assert_eq!(of("q=secret"), "", "what is hidden is not found");
    let steward = site.token("acme", &["read"]);
    assert_eq!(list(&site, "q=secret", Some(&steward)).0, ["acme/secret"]);
    assert_eq!(list(&site, "", Some(&site.token("lab", &["read:acme/secret"]))).0.len(), 6);
    for (query, told) in [
        ("qq=x", "did you mean"),
        ("class=face", "special-category"),
        ("gated=yes", "true or false"),
        ("q=x&after=acme/d", "`next`"),
        ("limit=1001", "1000"),
    ] {
        let answer = site.get(&format!("v1/datasets?{query}"), None);
        assert!(answer.status == 422 && answer.text().contains(told), "{query}: {}", answer.text());
    }
    // The client asks for page after page.
    let names = nodedata_registry::Remote::datasets(&site.remote(Some(&steward))).unwrap();
    assert_eq!(names.len(), 6);
}

#[test]
fn pages_for_people_are_searched_and_go_on() {
    let site = Site::new();
    let names: Vec<String> = (0..101).map(|it| format!("acme/n{it:03}")).collect();
    make(&site, &names.iter().map(String::as_str).collect::<Vec<_>>(), Visibility::Public, DataClass::None);
    let home = site.get("", None).text();
    assert!(home.contains("/d/acme/n099\"") && !home.contains("/d/acme/n100\""));
    assert!(home.contains("href=\"/?after=acme%2Fn099\""), "{home}");
    let more = site.get("?after=acme%2Fn099", None).text();
    assert!(more.contains("/d/acme/n100\"") && !more.contains("rel=\"next\""), "{more}");
    let found = site.get("?q=n042", None).text();
    assert!(found.contains("/d/acme/n042\"") && !found.contains("n041") && found.contains("value=\"n042\""));
    let hostile = site.get("?q=%22%3E%3Cscript%3E", None).text();
    assert!(!hostile.contains("<script") && hostile.contains("found by these words"), "{hostile}");
}

/// A server that looks through its store once, at the start, finds by the logs' ends what has changed since.
#[test]
fn what_is_listed_is_what_the_last_record_says() {
    let site = Site::with(|it| it.refresh_every = Duration::from_secs(3600));
    assert_eq!(list(&site, "", None).0.len(), 0);
    // Through the server: at once.
    let token = site.token("kit", &["read", "publish:kit/*"]);
    let remote = site.remote(Some(&token));
    let mut new = NewDataset::new("kit/x".parse().unwrap(), "kit");
    (new.visibility, new.sensitivity) = (Visibility::Public, none());
    create(&remote, &new).unwrap();
    assert_eq!(list(&site, "", None).0, ["kit/x"]);
    // Past the server: a dataset that it lists is hidden, and is gone from its lists at once.
    let hidden = Sensitivity { class: DataClass::None, ..Sensitivity::default() };
    let declared =
        NewDeclaration { visibility: Some(Visibility::Private), sensitivity: Some(hidden), reason: None };
    declare(&site.direct().shared(), &new.dataset, "kit", &declared).unwrap();
    assert_eq!(list(&site, "", None).0.len(), 0);
    assert_eq!(list(&site, "q=kit", None).0.len(), 0);
    assert_eq!(list(&site, "", Some(&token)).0, ["kit/x"]);
    assert_eq!(site.ask(Method::HEAD, "v1/datasets", None, |it| it).status, 200);
}

/// In the place of each that is found to be hidden the next one comes, which may be hidden as well.
#[test]
fn none_of_many_that_were_hidden_past_the_server_is_listed() {
    let site = Site::with(|it| it.refresh_every = Duration::from_secs(3600));
    let token = site.token("kit", &["read", "publish:kit/*"]);
    let remote = site.remote(Some(&token));
    let names: Vec<nodedata_registry::DatasetName> =
        (0..6).map(|it| format!("kit/n{it}").parse().unwrap()).collect();
    for name in &names {
        let mut new = NewDataset::new(name.clone(), "kit");
        (new.visibility, new.sensitivity) = (Visibility::Public, none());
        create(&remote, &new).unwrap();
    }
    assert_eq!(list(&site, "limit=1", None).0, ["kit/n0"]);
    for name in &names {
        let hidden = Sensitivity { class: DataClass::None, ..Sensitivity::default() };
        let declared =
            NewDeclaration { visibility: Some(Visibility::Private), sensitivity: Some(hidden), reason: None };
        declare(&site.direct().shared(), name, "kit", &declared).unwrap();
    }
    assert_eq!(list(&site, "limit=1", None).0, [""; 0]);
    assert_eq!(list(&site, "", Some(&token)).0.len(), 6);
}

#[test]
fn a_damaged_log_hides_no_other_dataset() {
    let site = Site::with(|it| it.refresh_every = Duration::from_secs(3600));
    make(&site, &["acme/a", "acme/b"], Visibility::Public, DataClass::None);
    let token = site.token("acme", &["read", "publish:acme/*"]);
    let mut new = NewDataset::new("acme/c".parse().unwrap(), "acme");
    (new.visibility, new.sensitivity) = (Visibility::Public, none());
    create(&site.remote(Some(&token)), &new).unwrap();
    let known = list(&site, "", None).0;
    assert!(known.contains(&"acme/c".to_owned()), "{known:?}");
    let next = nodedata_registry::layout::record(&new.dataset, 1);
    site.store.put_create(&next, bytes::Bytes::from_static(b"no record")).unwrap();
    let rest: Vec<String> = known.into_iter().filter(|it| it != "acme/c").collect();
    assert_eq!(list(&site, "", None).0, rest);
}

#[test]
fn a_catalog_outlives_its_server_and_forgets_what_is_gone() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let location = nodedata_registry::StoreLocation::Folder(folder.path().join("store"));
    let open = || {
        let options = nodedata_registry::OpenStore { journal: None, create: true };
        let store = nodedata_registry::Store::open(&location, &options).unwrap();
        Site::over(store, |it| it.data = Some(data.path().to_owned()))
    };
    let site = open();
    make(&site, &["acme/a", "acme/b"], Visibility::Public, DataClass::None);
    assert_eq!(list(&site, "", None).0.len(), 2);
    site.running.stop();
    std::fs::remove_dir_all(folder.path().join("store/ds/acme/a")).unwrap();
    let site = open();
    make(&site, &["acme/c"], Visibility::Public, DataClass::None);
    assert_eq!(list(&site, "", None).0, ["acme/b", "acme/c"]);
}
