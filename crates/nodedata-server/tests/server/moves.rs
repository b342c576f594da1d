use nodedata_core::{ErrorKind, Silent};
use nodedata_registry::{
    DatasetState, Operation, Revision, Sensitivity, Visibility, delete_dataset, move_dataset, pull,
};

use crate::site::Site;

#[test]
fn old_names_lead_to_a_dataset_for_those_who_may_see_it() {
    let site = Site::new();
    let dataset = site.publish("acme/x", Visibility::Private, Sensitivity::default());
    let moved = "robot-lab/y".parse().unwrap();
    let token = site.token("acme", &["read", "publish:acme/*"]);
    let only_old = site.remote(Some(&token));
    let refused = move_dataset(&only_old, &dataset, &moved, "acme", "given away").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
    let both = site.token("acme", &["read", "publish:acme/*", "publish:robot-lab/*"]);
    let remote = site.shared(Some(&both));
    move_dataset(&*remote, &dataset, &moved, "acme", "given away")
        .unwrap_or_else(|err| panic!("{}", err.chain()));
    let state = DatasetState::open(&*remote, &dataset).unwrap();
    assert_eq!((&state.dataset, state.revisions.len()), (&moved, 1));
    let folder = tempfile::tempdir().unwrap();
    let revision = Revision::open(&remote, &dataset, state.head().unwrap()).unwrap();
    pull(&revision, &folder.path().join("out"), false, &Silent).unwrap();
    // Who may see it now, may name it as before; who could only see it before, may not.
    let reader = site.token("someone", &["read", "read:robot-lab/y"]);
    assert_eq!(site.get("v1/d/acme/x/manifest", Some(&reader)).status, 200);
    let former = site.token("somebody", &["read", "read:acme/x"]);
    for path in ["v1/d/acme/x/manifest", "v1/d/robot-lab/y/manifest", "v1/d/acme/x/log"] {
        assert_eq!(site.get(path, Some(&former)).status, 404, "{path}");
    }
    assert!(!site.get("v1/datasets", Some(&both)).text().contains("acme/x"));
    // Nobody takes over what was not given away.
    let op = Operation::Adopt { from: dataset.clone(), moved_at: 0, last: state.last };
    let mut record = state.next_record(op, "op", "acme");
    (record.seq, record.prev) = (0, None);
    assert!(remote.append(&"acme/z".parse().unwrap(), &record).is_err());
    delete_dataset(&*remote, &dataset, "acme", "a test").unwrap();
    for path in ["v1/d/acme/x/manifest", "v1/d/robot-lab/y/manifest"] {
        assert_eq!(site.get(path, Some(&both)).status, 404, "{path}");
    }
    let admin = site.token("root", &["admin"]);
    let audit = site.get("v1/audit", Some(&admin)).text();
    for action in ["\"move\"", "\"adopt\"", "\"delete\""] {
        assert!(audit.contains(action), "{action}");
    }
}
