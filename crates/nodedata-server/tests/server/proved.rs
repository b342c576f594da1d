//! What decides who may read what is proved by the records, and held against what the server has seen of them.

use nodedata_registry::{
    DataClass, DatasetState, OpenStore, Operation, Sensitivity, Store, StoreLocation, Visibility, change,
    layout,
};

use crate::site::Site;

struct Kept {
    folder: tempfile::TempDir,
}

impl Kept {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The server over the same store and database, started anew.
    fn site(&self) -> Site {
        let location = StoreLocation::Folder(self.folder.path().join("store"));
        let store = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
        Site::over(store, |it| it.data = Some(self.folder.path().join("data")))
    }

    fn file(&self, inside: &str) -> std::path::PathBuf {
        self.folder.path().join("store").join(inside)
    }
}

fn gated(site: &Site) {
    let gate = site.gate("acme/faces", "I will not.", "manual");
    let sensitivity = Sensitivity { class: DataClass::Biometric, gate: Some(gate), ..Sensitivity::default() };
    let dataset = site.publish("acme/faces", Visibility::Public, sensitivity);
    for idx in 0..20 {
        let tag = format!("t{idx}");
        change(&site.direct(), &dataset, "acme", &|_| {
            Ok(Operation::Tag { tag: tag.clone(), revision: Some("1.0.0".to_owned()) })
        })
        .unwrap();
    }
}

#[test]
fn a_changed_head_opens_nothing() {
    let kept = Kept::new();
    let site = kept.site();
    gated(&site);
    let dataset = "acme/faces".parse().unwrap();
    let path = kept.file(&layout::head(&dataset));
    let mut forged: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    forged["sensitivity"] = serde_json::json!({"class": "none", "special_category": false, "minors": false});
    forged["declarations"][0]["sensitivity"] = forged["sensitivity"].clone();
    std::fs::write(&path, serde_json::to_vec(&forged).unwrap()).unwrap();
    // Never asked for before: nothing is kept in memory.
    assert_eq!(site.get("v1/d/acme/faces/shards/0", None).status, 401);
    // What is told as a snapshot is what the records prove, too.
    let told: serde_json::Value =
        serde_json::from_slice(&site.get("v1/d/acme/faces/head", None).body).unwrap();
    assert_eq!(told["sensitivity"]["class"], "biometric");
    let remote = site.remote(None);
    assert_eq!(DatasetState::open(&remote, &dataset).unwrap().sensitivity.class, DataClass::Biometric);
}

#[test]
fn a_log_that_is_changed_or_cut_is_noticed() {
    let kept = Kept::new();
    let site = kept.site();
    gated(&site);
    assert_eq!(site.get("v1/d/acme/faces/manifest", None).status, 200);
    site.running.stop();
    let dataset = "acme/faces".parse().unwrap();
    let last = kept.file(&layout::record(&dataset, 21));
    let anchor = kept.file(&layout::anchor(&dataset));
    let (sound, noted) = (std::fs::read(&last).unwrap(), std::fs::read(&anchor).unwrap());
    // Whoever has the store in hand changes what it says of itself as well.
    let changed = String::from_utf8(sound.clone()).unwrap().replace("\"t19\"", "\"t91\"");
    std::fs::remove_file(&anchor).unwrap();
    std::fs::write(&last, changed).unwrap();
    let status = |path: &str| {
        let site = kept.site();
        let answer = site.get(path, None);
        (answer.status, answer.code())
    };
    assert_eq!(status("v1/d/acme/faces/manifest"), (500, "damaged".to_owned()));
    assert_eq!(status("v1/d/acme/faces/shards/0"), (500, "damaged".to_owned()));
    std::fs::remove_file(&last).unwrap();
    assert_eq!(status("v1/d/acme/faces/manifest"), (500, "damaged".to_owned()));
    // The operator has put an earlier copy in its place, and says so.
    let site = kept.site();
    assert!(site.running.database().forget_checkpoint(&dataset).unwrap());
    assert!(!site.running.database().forget_checkpoint(&dataset).unwrap());
    assert_eq!(site.get("v1/d/acme/faces/manifest", None).status, 200);
    drop(site);
    std::fs::write(&last, sound).unwrap();
    std::fs::write(&anchor, noted).unwrap();
    assert_eq!(status("v1/d/acme/faces/manifest").0, 200);
}
