use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use nodedata_core::{Error, ErrorKind, Files, Locus, ReadAt, Result};
use object_store::{ObjectStore, ObjectStoreExt, path::Path as ObjectPath};
use url::Url;

use crate::{
    Blocks, Input, Places, brought::Brought, bucket::open_bucket, input::printable, recent::Recent,
    remote_error::store_error, runtime::block_on,
};

/// Objects below a prefix of a bucket, read by range.
pub struct RemoteFiles {
    store: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
    /// In the order of their names.
    objects: Vec<RemoteObject>,
    /// Whether `prefix` was the name of an object, not of what lies above some.
    one_object: bool,
    recent: Recent,
    brought: Brought,
}

struct RemoteObject {
    /// Relative to the prefix.
    name: PathBuf,
    /// As the store listed it: put together again from `name`, a `#` or `ü` would be escaped once more.
    location: ObjectPath,
    n_bytes: u64,
    /// What the store says of its version.
    e_tag: Option<String>,
}

impl std::fmt::Debug for RemoteFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteFiles").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl RemoteFiles {
    /// Lists the objects below `prefix`, or takes the one object that `prefix` names. As in a folder,
    /// hidden names are left out, and so are empty objects that stand for folders.
    ///
    /// # Errors
    /// `Io` when the store does not answer; `Denied` when it refuses; `Config` when nothing is there.
    pub fn list_of(store: Arc<dyn ObjectStore>, prefix: ObjectPath) -> Result<Self> {
        // Of an empty name the store would tell about the bucket.
        if !prefix.as_ref().is_empty()
            && let Ok(found) = block_on(store.head(&prefix))
        {
            let name = prefix.filename().unwrap_or_default().into();
            let object =
                RemoteObject { name, location: prefix.clone(), n_bytes: found.size, e_tag: found.e_tag };
            return Ok(Self {
                store,
                prefix,
                objects: vec![object],
                one_object: true,
                recent: Recent::default(),
                brought: Brought::default(),
            });
        }
        let listed: Vec<_> = block_on(store.list(Some(&prefix)).try_collect())
            .map_err(|err| store_error("cannot list the objects", &err))?;
        let mut objects = Vec::with_capacity(listed.len());
        for object in listed {
            let Some(parts) = object.location.prefix_match(&prefix) else { continue };
            let name: PathBuf = parts.map(|it| it.as_ref().to_owned()).collect();
            if name.iter().any(|part| part.as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            let (n_bytes, e_tag) = (object.size, object.e_tag);
            objects.push(RemoteObject { name, n_bytes, location: object.location, e_tag });
        }
        objects.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        leave_out_folder_markers(&mut objects);
        if objects.is_empty() {
            return Err(Error::new(ErrorKind::Config, "no object is there, nor below that prefix")
                .with_hint("check the bucket, the prefix, and the credentials in the environment"));
        }
        let (recent, brought) = (Recent::default(), Brought::default());
        Ok(Self { store, prefix, objects, one_object: false, recent, brought })
    }
}

/// Web consoles make a folder by writing an empty object `folder/`, which is listed as `folder`.
/// What else may be empty stays. `objects` are in the order of their names, so that the first name
/// below a folder comes right after it.
fn leave_out_folder_markers(objects: &mut Vec<RemoteObject>) {
    let is_marker = |idx: usize| {
        let RemoteObject { name, n_bytes, .. } = &objects[idx];
        let above_the_next = objects.get(idx + 1).is_some_and(|next| next.name.starts_with(name));
        *n_bytes == 0 && (name.as_os_str().is_empty() || above_the_next)
    };
    let markers: Vec<bool> = (0..objects.len()).map(is_marker).collect();
    let mut markers = markers.into_iter();
    objects.retain(|_| !markers.next().unwrap_or(false));
}

impl RemoteFiles {
    fn object(&self, path: &Path) -> Option<&RemoteObject> {
        let idx = self.objects.binary_search_by(|it| it.name.as_path().cmp(path)).ok()?;
        self.objects.get(idx)
    }

    /// The file of an object, each of whose reads is a request.
    ///
    /// # Errors
    /// `Io` when there is none.
    fn far(&self, path: &Path) -> Result<RemoteFile> {
        let Some(RemoteObject { location, n_bytes, .. }) = self.object(path) else {
            return Err(Error::new(ErrorKind::Io, "no such object").at(Locus::path(path)));
        };
        Ok(RemoteFile { store: Arc::clone(&self.store), location: location.clone(), n_bytes: *n_bytes })
    }
}

impl Files for RemoteFiles {
    fn list(&self) -> Result<Vec<PathBuf>> {
        Ok(self.objects.iter().map(|it| it.name.clone()).collect())
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        if let Some(near) = self.brought.get(path) {
            return Ok(near);
        }
        self.recent.get(path, || Ok(Arc::new(Blocks::over(self.far(path)?))))
    }

    fn stamp(&self, path: &Path) -> Option<String> {
        let RemoteObject { n_bytes, e_tag, .. } = self.object(path)?;
        Some(format!("{}:{n_bytes}", e_tag.as_ref()?))
    }

    fn bring(&self, path: &Path, folder: &Path) -> Result<bool> {
        self.brought.bring(path, &self.far(path)?, folder)
    }

    fn let_go(&self, path: &Path) {
        self.brought.let_go(path);
    }
}

/// Behind [`Blocks`], which ask for what is there only.
struct RemoteFile {
    store: Arc<dyn ObjectStore>,
    location: ObjectPath,
    n_bytes: u64,
}

impl ReadAt for RemoteFile {
    fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        let n_wanted = range.end - range.start;
        let bytes = block_on(self.store.get_range(&self.location, range.clone())).map_err(|err| {
            store_error("cannot read the object", &err).at(Locus::path(self.location.as_ref()))
        })?;
        if bytes.len() as u64 == n_wanted {
            return Ok(bytes);
        }
        let message = format!("the store sent {} bytes where {n_wanted} were asked", bytes.len());
        Err(Error::new(ErrorKind::Io, message).at(Locus::byte(range.start)))
    }
}

/// Times that a request is repeated: a conversion of hours outlives a store that is away for minutes.
const RETRIES: usize = 10;

/// Opens a bucket.
pub(crate) fn open(source: &str) -> Result<Input> {
    let url = object_url(source)?;
    let place = || Locus::path(printable(source));
    let bucket =
        open_bucket(&url, RETRIES).map_err(|err| store_error("cannot use the store", &err).at(place()))?;
    tracing::debug!(source = printable(source), "list the objects");
    let files = RemoteFiles::list_of(bucket.objects, bucket.prefix).map_err(|err| err.at(place()))?;
    let exact = files.one_object;
    let address = Some(address_of(&url, exact));
    let (files, places, parts) = (Arc::new(files), Places::default(), Vec::new());
    Ok(Input { files, root: source.to_owned(), exact, places, address, parts })
}

/// What names of files below a URL are relative to, as one path: host and folder. Of one file, that is what it lies in.
pub(crate) fn address_of(url: &Url, is_file: bool) -> PathBuf {
    let mut address = PathBuf::from(url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        address = PathBuf::from(format!("{}:{port}", address.display()));
    }
    // Names in it are as the store has them, not as they are escaped in a URL.
    if let Ok(path) = ObjectPath::from_url_path(url.path()) {
        address.extend(path.parts().map(|it| it.as_ref().to_owned()));
        if is_file {
            address.pop();
        }
    }
    address
}

/// Refuses what the store would drop without a word and so read another prefix than was asked for.
fn object_url(source: &str) -> Result<Url> {
    let url = Url::parse(source)
        .map_err(|err| Error::new(ErrorKind::Config, format!("`{source}` is not a URL")).with_source(err))?;
    for (part, mark, escaped) in [(url.fragment(), '#', "%23"), (url.query(), '?', "%3F")] {
        if part.is_some() {
            let message = format!("`{mark}` ends the name of an object in a URL: {}", printable(source));
            return Err(Error::new(ErrorKind::Config, message)
                .with_hint(format!("if it is part of a name, write it `{escaped}`; queries are not sent")));
        }
    }
    if url.path().contains('*') {
        let message = format!("`*` is no pattern in a URL: {}", printable(source));
        return Err(Error::new(ErrorKind::Config, message)
            .with_hint("name the prefix above the files; if it is part of a name, write it `%2A`"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use object_store::{PutPayload, memory::InMemory};

    use super::*;

    #[test]
    fn a_bucket_reads_like_a_folder() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let big: Vec<u8> = (0..3_000_000u32).map(|it| (it % 251) as u8).collect();
        for (name, bytes) in [("runs/a.mcap", big.clone()), ("runs/day/b.mcap", b"bb".to_vec())] {
            let path = ObjectPath::from(name);
            block_on(store.put(&path, PutPayload::from(bytes))).unwrap();
        }
        let files = RemoteFiles::list_of(Arc::clone(&store), ObjectPath::from("runs")).unwrap();
        assert_eq!(files.list().unwrap(), [PathBuf::from("a.mcap"), PathBuf::from("day/b.mcap")]);
        let file = files.open(Path::new("a.mcap")).unwrap();
        // Small, across a block border, large, at the very end, and past it.
        for range in [10..20, 1_048_570..1_048_580, 5..900_000, 2_999_990..3_000_000] {
            let bytes = file.read_at(range.clone()).unwrap();
            assert_eq!(bytes, big[range.start as usize..range.end as usize]);
        }
        assert_eq!(file.read_at(2_999_999..3_000_001).unwrap_err().kind(), ErrorKind::Corrupt);
        let one = RemoteFiles::list_of(store, ObjectPath::from("runs/day/b.mcap")).unwrap();
        assert_eq!(one.list().unwrap(), [PathBuf::from("b.mcap")]);
        assert_eq!(&one.open(Path::new("b.mcap")).unwrap().read_at(0..2).unwrap()[..], b"bb");
    }

    /// The names that open below `prefix` when there are `objects`, each opened.
    fn names(objects: &[(&str, &str)], prefix: &str) -> Result<Vec<String>> {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        for (location, text) in objects {
            let location = ObjectPath::parse(location).unwrap();
            block_on(store.put(&location, PutPayload::from((*text).to_owned()))).unwrap();
        }
        let files = RemoteFiles::list_of(store, ObjectPath::parse(prefix).unwrap())?;
        for name in files.list()? {
            let file = files.open(&name)?;
            file.read_at(0..file.n_bytes())?;
        }
        Ok(files.list()?.iter().map(|it| it.display().to_string()).collect())
    }

    #[test]
    fn a_whole_bucket_and_odd_names_open() {
        let odd = "day 1#a/b#+[1] ü~%.mcap";
        let objects = [(odd, "x"), ("a?*.mcap", "y")];
        assert_eq!(names(&objects, "").unwrap(), ["a?*.mcap", odd]);
        assert_eq!(names(&objects, "day 1#a").unwrap(), ["b#+[1] ü~%.mcap"]);
        assert_eq!(names(&objects, odd).unwrap(), ["b#+[1] ü~%.mcap"]);
        let nothing = names(&objects, "day").unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::Config);
        assert_eq!(names(&[(".cache/a", "x"), ("b/.c", "x"), ("b/d", "x")], "").unwrap(), ["b/d"]);
        assert_eq!(names(&[(".cache/a", "x")], ".cache").unwrap(), ["a"]);
    }

    #[test]
    fn folder_markers_are_no_files_but_empty_objects_are() {
        let object = |name: &str, n_bytes| RemoteObject {
            name: name.into(),
            location: ObjectPath::from(name),
            n_bytes,
            e_tag: None,
        };
        let mut objects = vec![
            object("", 0),
            object("day", 0),
            object("day/a.mcap", 9),
            object("day/b", 1),
            object("e", 0),
        ];
        leave_out_folder_markers(&mut objects);
        let left: Vec<_> = objects.iter().map(|it| it.name.display().to_string()).collect();
        assert_eq!(left, ["day/a.mcap", "day/b", "e"]);
        // An object with bytes is data, whatever lies below its name.
        let mut objects = vec![object("day", 1), object("day/a.mcap", 9)];
        leave_out_folder_markers(&mut objects);
        assert_eq!(objects.len(), 2);
    }

    #[test]
    fn urls_that_would_lose_a_part_are_refused() {
        for source in ["s3://bucket/runs#x", "s3://bucket/runs?x", "s3://bucket/runs/*.mcap"] {
            let err = object_url(source).expect_err("refused");
            assert_eq!(err.kind(), ErrorKind::Config);
            assert!(err.hint().is_some());
        }
        assert_eq!(object_url("s3://bucket/a%23b").unwrap().path(), "/a%23b");
    }
}
