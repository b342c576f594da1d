use std::sync::Arc;

use nodedata_core::Result;
use nodedata_registry::{
    DatasetName, Direct, HashCache, OpenStore, Reference, Remote, Store, StoreLocation, http::at_server,
    put_blob,
};

use crate::access::Access;

/// What a place must be to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// A registry: reading another place would find nothing, and say so as if there were nothing.
    Existing,
    /// A registry, or a place where nothing is and that becomes one with the first write.
    OrNew,
    /// The same for a plan of what would be written: what is there stays as it is.
    ForPlan,
}

/// A registry, and who speaks to it.
#[derive(Clone)]
pub struct Registry {
    /// What answers.
    pub remote: Arc<dyn Remote>,
    /// Who does what is done.
    pub author: String,
    /// What this machine has hashed before.
    pub cache: HashCache,
}

impl Registry {
    /// Opens a registry. Nothing is asked of a server yet.
    ///
    /// # Errors
    /// `Config` for a place that is not what `opening` asks for, and for an address that cannot be used; `Io`, `Denied`.
    pub fn open(access: impl Into<Access>, opening: Opening) -> Result<Self> {
        let access = access.into();
        let remote: Arc<dyn Remote> = match access.location()? {
            StoreLocation::Server(url) => at_server(&url, access.token(&url)?)?,
            place => Arc::new(Direct::new(open_store(&place, opening)?)),
        };
        let cache = HashCache::default_folder().map_or_else(HashCache::none, |it| HashCache::at(&it));
        Ok(Self { remote, author: access.author(), cache })
    }

    /// What a reference means; datasets named without an owner are the author's.
    ///
    /// # Errors
    /// `Config` for what is none.
    pub fn reference(&self, text: &str) -> Result<Reference> {
        Reference::parse(text, &self.author)
    }

    /// Sends the text of an agreement, before the record that names it: a server takes no other.
    ///
    /// # Errors
    /// Those of sending it.
    pub fn keep_agreement(&self, dataset: &DatasetName, text: Vec<u8>) -> Result<()> {
        let push = put_blob(&*self.remote, dataset, text)?;
        // Within a collector's grace the record names it; the lease ends by itself.
        drop(self.remote.end_push(&push));
        Ok(())
    }
}

impl Access {
    /// The folder or bucket of a registry, for whoever looks after it.
    ///
    /// # Errors
    /// `Config` for a server; as [`Registry::open`].
    pub fn store(&self, opening: Opening) -> Result<Store> {
        open_store(&self.own_location()?, opening)
    }

    /// The place, whatever lies there: for whoever asks for a store to be made of it.
    ///
    /// # Errors
    /// As [`Self::store`].
    pub fn place(&self) -> Result<Store> {
        at(&self.own_location()?, true)
    }
}

fn open_store(location: &StoreLocation, opening: Opening) -> Result<Store> {
    let store = at(location, opening == Opening::OrNew)?;
    match opening {
        Opening::Existing => store.expect_store()?,
        Opening::OrNew | Opening::ForPlan => store.expect_room()?,
    }
    Ok(store)
}

fn at(location: &StoreLocation, create: bool) -> Result<Store> {
    let journal = HashCache::default_folder().map(|it| it.join("uploads"));
    Store::open(location, &OpenStore { journal, create })
}

#[cfg(test)]
mod tests {
    use nodedata_core::ErrorKind;

    use super::*;

    #[test]
    fn a_place_is_opened_as_what_it_must_be() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Access {
            store: Some(folder.path().join(name).display().to_string()),
            author: Some("Robot Lab".to_owned()),
            token: None,
        };
        let kind = |name: &str, opening| Registry::open(at(name), opening).err().map(|it| it.kind());
        assert_eq!(kind("new", Opening::Existing), Some(ErrorKind::Config));
        assert_eq!(kind("new", Opening::ForPlan), Some(ErrorKind::Config));
        assert!(!folder.path().join("new").exists(), "looking makes nothing");
        let registry = Registry::open(at("new"), Opening::OrNew).unwrap();
        assert_eq!(
            (registry.author.as_str(), registry.remote.datasets().unwrap()),
            ("robot-lab", Vec::new())
        );
        assert_eq!(kind("new", Opening::Existing), Some(ErrorKind::Config), "nothing was written yet");
        assert_eq!(kind("new", Opening::ForPlan), None);
        at("new").place().unwrap().init().unwrap();
        assert_eq!(kind("new", Opening::Existing), None);
        std::fs::create_dir_all(folder.path().join("other/photos")).unwrap();
        for opening in [Opening::Existing, Opening::OrNew, Opening::ForPlan] {
            assert_eq!(kind("other", opening), Some(ErrorKind::Config), "{opening:?}");
            assert!(at("other").store(opening).is_err());
        }
        at("other").place().unwrap();
    }
}
