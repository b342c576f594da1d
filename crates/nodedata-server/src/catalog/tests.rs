use std::collections::BTreeSet;

use nodedata_registry::{DatasetName, NewDataset, Sensitivity, Store, create};

use super::*;
use crate::principal::Sees;

fn state(name: &str, visibility: Visibility, title: &str) -> DatasetState {
    let store = Store::memory();
    store.init().unwrap();
    let direct = nodedata_registry::Direct::new(store);
    let dataset: DatasetName = name.parse().unwrap();
    let mut new = NewDataset::new(dataset.clone(), dataset.owner());
    new.facts.title = Some(title.to_owned());
    create(&direct, &new).unwrap();
    let mut state = DatasetState::load(&direct, &dataset).unwrap().unwrap();
    (state.visibility, state.sensitivity) =
        (visibility, Sensitivity { class: DataClass::None, ..Default::default() });
    state
}

/// So many public datasets, and as many private ones of others between them.
fn catalog(n: usize) -> Catalog {
    let catalog = Catalog::open(None).unwrap();
    // One commit for each would be most of the test.
    catalog.lock().execute_batch("PRAGMA synchronous = OFF").unwrap();
    let (public, private) =
        (state("acme/x", Visibility::Public, "arm"), state("acme/x", Visibility::Private, "arm"));
    for idx in 0..n {
        for (name, state) in [(format!("acme/p{idx:06}"), &public), (format!("other/s{idx:06}"), &private)] {
            let mut state = state.clone();
            state.dataset = name.parse().unwrap();
            if idx % 10 == 3 {
                state.sensitivity.class = DataClass::Biometric;
            }
            catalog.note(&state, None).unwrap();
        }
    }
    catalog
}

fn query(change: impl FnOnce(&mut Query)) -> Query {
    let mut query = Query { limit: 5, ..Query::default() };
    change(&mut query);
    query
}

fn names(listed: &Listed) -> Vec<String> {
    listed.datasets.iter().map(|(it, _)| it.name.to_string()).collect()
}

/// All pages of what is asked for.
fn all(catalog: &Catalog, mut query: Query) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let listed = catalog.page(&query).unwrap();
        assert!(listed.datasets.len() <= query.limit);
        all.extend(names(&listed));
        match listed.next {
            Some(next) => query.after = Some(next),
            None => return all,
        }
    }
}

#[test]
fn pages_are_all_of_it_once_and_in_order() {
    let catalog = catalog(23);
    let listed = all(&catalog, query(|_| ()));
    assert!(listed.len() == 23 && listed.is_sorted() && listed[0] == "acme/p000000", "{listed:?}");
    assert_eq!(all(&catalog, query(|it| it.words = Some("ARM p00002".to_owned()))).len(), 3);
    assert_eq!(all(&catalog, query(|it| it.words = Some("arm".to_owned()))), listed, "found, page by page");
    assert_eq!(
        all(&catalog, query(|it| it.class = Some("biometric".to_owned()))),
        ["acme/p000003", "acme/p000013"]
    );
    assert_eq!(all(&catalog, query(|it| it.is_gated = Some(true))).len(), 2);
    assert_eq!(all(&catalog, query(|it| it.is_gated = Some(false))).len(), 21);
    assert_eq!(all(&catalog, query(|it| it.owner = Some("other".to_owned()))).len(), 0);
    let page = catalog.page(&query(|it| it.limit = 23)).unwrap();
    assert_eq!((page.datasets.len(), page.next), (23, None));
    let err = catalog.page(&query(|it| (it.words, it.after) = (Some("arm".into()), Some("x".into()))));
    assert_eq!(err.unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn what_is_private_is_listed_to_those_who_see_it() {
    let catalog = catalog(12);
    let sees = |owners: &[&str], names: &[&str]| Sees {
        owners: owners.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<_>>(),
        names: names.iter().map(|it| (*it).to_owned()).collect(),
    };
    let of = |sees: Sees, change: &dyn Fn(&mut Query)| {
        let mut query = query(|it| it.sees = sees);
        change(&mut query);
        let mut all = all(&catalog, query);
        all.retain(|it| it.starts_with("other/"));
        all
    };
    assert_eq!(of(sees(&[], &["other/s000003"]), &|_| ()), ["other/s000003"]);
    assert_eq!(of(sees(&["other"], &["other/s000003"]), &|_| ()).len(), 12);
    assert_eq!(of(sees(&["other", "acme"], &[]), &|it| it.owner = Some("other".to_owned())).len(), 12);
    assert_eq!(of(sees(&["other"], &[]), &|it| it.owner = Some("acme".to_owned())).len(), 0);
    assert_eq!(of(sees(&[], &["other/s000003"]), &|it| it.words = Some("arm".to_owned())), ["other/s000003"]);
    assert_eq!(of(sees(&["other"], &[]), &|it| it.words = Some("s000011".to_owned())), ["other/s000011"]);
    assert_eq!(of(Sees::default(), &|it| it.words = Some("s000011".to_owned())), [""; 0]);
    let many: Vec<String> = (0..3000).map(|it| format!("other/s{it:06}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(of(sees(&[], &many), &|it| it.words = Some("s000011".to_owned())), ["other/s000011"]);
}

#[test]
fn the_newest_of_a_log_is_what_counts() {
    let catalog = Catalog::open(None).unwrap();
    let mut newer = state("acme/x", Visibility::Public, "gripper");
    let older = state("acme/x", Visibility::Private, "arm");
    newer.next_seq += 1;
    catalog.note(&newer, None).unwrap();
    catalog.note(&older, None).unwrap();
    let found = |words: &str| all(&catalog, query(|it| it.words = Some(words.to_owned()))).len();
    assert_eq!([found("gripper"), found("arm"), found("gripp acm"), found("")], [1, 0, 1, 0]);
    // What would mean something to the search engine means itself.
    for odd in ["\"", "gripper\" OR \"x", "text : gripper", "NEAR(a b)", "*", "a-b", "(", "gripper*"] {
        let expected = usize::from(odd == "gripper*");
        assert_eq!(found(odd), expected, "{odd}");
    }
    assert_eq!([found("gripper\0acme"), found("\0arm\0"), found("\0")], [1, 0, 0]);
    assert_eq!(catalog.known().unwrap(), BTreeMap::from([("acme/x".to_owned(), newer.next_seq)]));
    catalog.forget("acme/x").unwrap();
    assert_eq!((found("gripper"), catalog.known().unwrap().len()), (0, 0));
}

/// What is asked for besides all.
type Change = Box<dyn Fn(&mut Query)>;

#[test]
fn a_page_costs_the_same_of_ten_and_of_many() {
    let (few, many) = (catalog(10), catalog(20_000));
    let changes: [(&str, Change); 7] = [
        ("all", Box::new(|_| ())),
        ("from a place on", Box::new(|it| it.after = Some("acme/p000004".to_owned()))),
        ("of a class", Box::new(|it| it.class = Some("none".to_owned()))),
        ("gated", Box::new(|it| it.is_gated = Some(false))),
        ("of an owner", Box::new(|it| it.owner = Some("acme".to_owned()))),
        ("found", Box::new(|it| it.words = Some("arm".to_owned()))),
        ("of one who sees more", Box::new(|it| it.sees.owners.extend(["other".to_owned()]))),
    ];
    for (what, change) in &changes {
        let query = query(|it| change(it));
        let [few, many] = [&few, &many].map(|it| {
            let page = it.page(&query).unwrap();
            assert_eq!(page.datasets.len(), 5, "{what}");
            page.n_steps
        });
        assert!(0 < few && many <= 2 * few, "{what}: {few} steps of 10, {many} of 20,000");
    }
}

#[test]
fn a_catalog_of_another_version_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Catalog::open(Some(folder.path())).unwrap();
    open().note(&state("acme/x", Visibility::Public, "arm"), None).unwrap();
    let again = open();
    assert_eq!(again.known().unwrap().len(), 1);
    again.lock().execute_batch("PRAGMA user_version = 99").unwrap();
    drop(again);
    assert_eq!(open().known().unwrap().len(), 0);
}
