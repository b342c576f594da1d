//! Ranges of blobs in a folder: no byte leaves that is not what was published.

use std::{
    fs::{File, Metadata},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use nodedata_registry::{B3, DataClass, OpenStore, Sensitivity, Store, StoreLocation, Visibility, layout};

use crate::site::Site;

/// Writes another byte there, and sets the time of the last write back to what it was.
fn flip(path: &Path, offset: u64) {
    let mut file = File::options().read(true).write(true).open(path).unwrap();
    let before = file.metadata().unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
    // Times come in steps, and the clock of the test goes faster than that of the file.
    let changed = |it: &Metadata| (it.ctime(), it.ctime_nsec());
    while changed(&file.metadata().unwrap()) == changed(&before) {
        file.set_modified(before.modified().unwrap()).unwrap();
    }
    file.set_modified(before.modified().unwrap()).unwrap();
}

#[test]
fn a_byte_that_flips_between_two_requests_is_never_sent() {
    let folder = tempfile::tempdir().unwrap();
    let location = StoreLocation::Folder(folder.path().join("store"));
    let store = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
    let site = Site::over(store, |_| ());
    let harmless = Sensitivity { class: DataClass::None, ..Sensitivity::default() };
    site.publish("acme/x", Visibility::Public, harmless);
    let path = "v1/d/acme/x/shards/0";
    let get = |range: &str| {
        site.clock.advance(3);
        site.ask(reqwest::Method::GET, path, None, |it| it.header("range", range))
    };
    let whole = site.get(path, None).body;
    let file = folder.path().join("store").join(layout::blob(&B3::of(&whole)));
    let n_bytes = whole.len() as u64;
    for round in 0..3 {
        for range in [0..4, 100..333, n_bytes - 8..n_bytes, 0..n_bytes] {
            let answer = get(&format!("bytes={}-{}", range.start, range.end - 1));
            assert_eq!(answer.status, 206, "round {round}");
            assert!(answer.body == whole[range.start as usize..range.end as usize], "{range:?}");
        }
        flip(&file, 40);
        for range in ["bytes=40-40", "bytes=0-99"] {
            let answer = get(range);
            assert_eq!((answer.status, answer.code().as_str()), (500, "damaged"), "round {round}, {range}");
        }
        assert_eq!(site.get(path, None).status, 500);
        flip(&file, 40);
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(get("bytes=0-3").status, 500);
}
