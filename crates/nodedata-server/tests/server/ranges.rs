//! Ranges of blobs in a folder: no byte leaves that is not what was published.

use std::path::Path;

use nodedata_registry::{B3, DataClass, OpenStore, Sensitivity, Store, StoreLocation, Visibility, layout};
use nodedata_testkit::flip_behind;

use crate::site::Site;

#[test]
fn a_byte_that_flips_between_two_requests_is_never_sent() {
    let folder = tempfile::tempdir().unwrap();
    let location = StoreLocation::Folder(folder.path().join("store"));
    let store = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
    let site = Site::over(store, |_| ());
    let harmless = Sensitivity { class: DataClass::None, ..Sensitivity::default() };
    site.publish("acme/x", Visibility::Public, harmless);
    let by_place = "v1/d/acme/x/shards/0";
    let whole = site.get(by_place, None).body;
    for path in [by_place, &format!("v1/d/acme/x/blobs/{}", B3::of(&whole).hex())] {
        check_flips(&site, folder.path(), path, &whole);
    }
}

fn check_flips(site: &Site, folder: &Path, path: &str, whole: &[u8]) {
    let get = |range: &str| {
        site.clock.advance(3);
        site.ask(reqwest::Method::GET, path, None, |it| it.header("range", range))
    };
    let file = folder.join("store").join(layout::blob(&B3::of(whole)));
    let n_bytes = whole.len() as u64;
    for round in 0..3 {
        for range in [0..4, 100..333, n_bytes - 8..n_bytes, 0..n_bytes] {
            let answer = get(&format!("bytes={}-{}", range.start, range.end - 1));
            assert_eq!(answer.status, 206, "round {round}");
            assert!(answer.body == whole[range.start as usize..range.end as usize], "{range:?}");
        }
        flip_behind(&file, 40);
        for range in ["bytes=40-40", "bytes=0-99"] {
            let answer = get(range);
            assert_eq!((answer.status, answer.code().as_str()), (500, "damaged"), "round {round}, {range}");
        }
        assert_eq!(site.get(path, None).status, 500);
        flip_behind(&file, 40);
    }
    let aside = file.with_extension("aside");
    std::fs::rename(&file, &aside).unwrap();
    assert_eq!(get("bytes=0-3").status, 500);
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!(get("bytes=0-3").status, 206);
}
