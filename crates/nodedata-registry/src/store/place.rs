use nodedata_core::{Error, ErrorKind, Locus, Result};

use crate::{
    layout::{DATASETS, LEASES, MARKER, UPLOADS},
    runtime::block_on,
    store::{
        Store,
        error::{object_error, stalled},
    },
};

/// Names at the root of a store that we put there. Without the marker they are what a first write that was cut off
/// has left.
const OURS: [&str; 6] = [MARKER, "blobs", DATASETS, LEASES, UPLOADS, "probe"];

impl Store {
    /// Refuses a place that is no store: reading it would find nothing, and say so as if there were nothing.
    ///
    /// # Errors
    /// `Config` when it is none; `Io`, `Denied`.
    pub fn expect_store(&self) -> Result<()> {
        match self.has_marker()? {
            true => Ok(()),
            false => Err(self
                .refused("this is no store")
                .with_hint("name another with `--store`; `node-data store init` makes one of a place")),
        }
    }

    /// Before the first write, where nobody has asked for a store to be made: the place must be one, or hold nothing
    /// that is somebody else's.
    ///
    /// # Errors
    /// `Config` when other things lie there; `Io`, `Denied`.
    pub fn expect_room(&self) -> Result<()> {
        if self.has_marker()? {
            return Ok(());
        }
        match self.foreign_name()? {
            None => Ok(()),
            Some(name) => Err(self
                .refused(&format!("this is no store, and other things lie there, such as `{name}`"))
                .with_hint(
                    "name an empty or a new place with `--store`; `node-data store init` makes a store of this one all the same",
                )),
        }
    }

    fn has_marker(&self) -> Result<bool> {
        Ok(self.head(MARKER)?.is_some())
    }

    fn refused(&self, message: &str) -> Error {
        Error::new(ErrorKind::Config, message).at(Locus::path(self.label()))
    }

    /// Something at the root that we did not put there.
    fn foreign_name(&self) -> Result<Option<String>> {
        if let Some(folder) = self.folder() {
            // Empty folders, which a listing of objects does not show, are somebody's as well.
            let failed = |err| nodedata_io::io_error("cannot look into the folder", &folder, err);
            let mut names = Vec::new();
            for entry in std::fs::read_dir(&folder).map_err(failed)? {
                names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
            }
            return Ok(foreign(names));
        }
        let prefix = (!self.0.prefix.as_ref().is_empty()).then_some(&self.0.prefix);
        let found = block_on(1 << 30, self.0.objects.objects()?.list_with_delimiter(prefix))
            .map_err(stalled)?
            .map_err(|err| object_error("cannot list", self.label(), &err))?;
        let paths = found.common_prefixes.iter().chain(found.objects.iter().map(|it| &it.location));
        Ok(foreign(paths.filter_map(|it| Some(it.filename()?.to_owned())).collect()))
    }
}

fn foreign(names: Vec<String>) -> Option<String> {
    names.into_iter().filter(|it| !OURS.contains(&it.as_str())).min()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{OpenStore, StoreLocation};

    fn check(store: &Store) {
        let refused = |it: Result<()>| it.unwrap_err().kind() == ErrorKind::Config;
        assert!(refused(store.expect_store()));
        store.expect_room().unwrap();
        // A first push was killed.
        store.put("probe/1/race-0", Bytes::from_static(b"x")).unwrap();
        store.expect_room().unwrap();
        store.put("notes.txt", Bytes::from_static(b"x")).unwrap();
        let err = store.expect_room().unwrap_err();
        assert!(err.to_string().contains("`notes.txt`") && err.hint().unwrap().contains("store init"));
        assert!(refused(store.expect_store()));
        store.init().unwrap();
        store.expect_store().unwrap();
        store.expect_room().unwrap();
    }

    #[test]
    fn a_place_with_other_things_becomes_a_store_only_when_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| StoreLocation::Folder(folder.path().join(name));
        check(&Store::open(&at("a"), &OpenStore { journal: None, create: true }).unwrap());
        check(&Store::memory());
        let store = Store::open(&at("b"), &OpenStore { journal: None, create: true }).unwrap();
        std::fs::create_dir(folder.path().join("b/photos")).unwrap();
        assert!(store.expect_room().is_err(), "an empty folder is somebody's");
    }
}
