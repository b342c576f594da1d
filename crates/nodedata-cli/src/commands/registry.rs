use std::{path::PathBuf, sync::Arc};

use nodedata_core::{Error, ErrorKind, Result};
#[cfg(feature = "remote")]
use nodedata_registry::http::{HttpRemote, server_name};
use nodedata_registry::{
    Direct, HashCache, OpenStore, Reference, Remote, Store, StoreLocation, default_store_folder,
    http::{Token, at_server},
};
use url::Url;

#[cfg(feature = "remote")]
use crate::commands::credentials::token_for;
use crate::commands::dataset_args::StoreArgs;

/// A registry, and who speaks to it.
pub(crate) struct Registry {
    pub(crate) remote: Arc<dyn Remote>,
    /// Who does what is done.
    pub(crate) author: String,
}

impl Registry {
    /// Opens the registry that the flags or the environment name. With `create`, a place where nothing is becomes
    /// one; otherwise it must be one.
    pub(crate) fn open(args: &StoreArgs, create: bool) -> Result<Self> {
        Self::over(args, |place| open_store(place, create))
    }

    /// The same for a plan of what would be written: what is there may hold nothing yet, and stays as it is.
    pub(crate) fn open_for_plan(args: &StoreArgs) -> Result<Self> {
        Self::over(args, |place| {
            let store = at(place, false)?;
            store.expect_room()?;
            Ok(store)
        })
    }

    fn over(args: &StoreArgs, open: impl FnOnce(&StoreLocation) -> Result<Store>) -> Result<Self> {
        let remote: Arc<dyn Remote> = match location(args.store.as_deref())? {
            StoreLocation::Server(url) => at_server(&url, token(&url)?)?,
            place => Arc::new(Direct::new(open(&place)?)),
        };
        Ok(Self { remote, author: author(args) })
    }

    /// Opens the registry that the environment names, or the user's own. `token` is the variable that holds the
    /// token for a server.
    ///
    /// # Errors
    /// As [`Self::open`]; `Config` when the variable is not set.
    pub(crate) fn of_environment(token: Option<&str>) -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|it| !it.trim().is_empty());
        let args = StoreArgs { store: variable("NODEDATA_STORE"), author: variable("NODEDATA_USER") };
        let (StoreLocation::Server(url), Some(name)) = (location(args.store.as_deref())?, token) else {
            return Self::open(&args, true);
        };
        let text = variable(name).ok_or_else(|| {
            Error::new(
                ErrorKind::Config,
                format!("the variable `{name}`, which `publish.token` names, is not set"),
            )
            .with_hint("set it to a token of the server")
        })?;
        Ok(Self { remote: at_server(&url, Some(Token::parse(&text)?))?, author: author(&args) })
    }

    /// What a reference means; datasets named without an owner are the author's.
    pub(crate) fn reference(&self, text: &str) -> Result<Reference> {
        Reference::parse(text, &self.author)
    }
}

/// A server by its address.
#[cfg(feature = "remote")]
pub(crate) struct Server {
    pub(crate) url: Url,
    /// As it is shown, and as tokens are kept for it.
    pub(crate) name: String,
}

#[cfg(feature = "remote")]
impl Server {
    /// The server that the flag or the environment names.
    ///
    /// # Errors
    /// `Config` when that is no server.
    pub(crate) fn of(store: Option<&str>) -> Result<Self> {
        match location(store)? {
            StoreLocation::Server(url) => Ok(Self { name: server_name(&url), url }),
            StoreLocation::Folder(_) | StoreLocation::Bucket(_) => Err(Error::new(
                ErrorKind::Config,
                "this is for a server, and the store is a folder or a bucket",
            )
            .with_hint("name the server with `--store https://…`")),
        }
    }
}

/// The server that the flags or the environment name, for what only a server can do.
#[cfg(feature = "remote")]
pub(crate) fn server(args: &StoreArgs) -> Result<HttpRemote> {
    let Server { url, .. } = Server::of(args.store.as_deref())?;
    HttpRemote::new(&url, token(&url)?)
}

/// The token that there is for a server. It comes from the environment or from a file only, so that no list of
/// processes shows it.
#[cfg(feature = "remote")]
fn token(url: &Url) -> Result<Option<Token>> {
    Ok(token_for(&server_name(url))?.map(|it| it.token))
}

#[cfg(not(feature = "remote"))]
fn token(_: &Url) -> Result<Option<Token>> {
    Ok(None)
}

/// What a reference means, without opening anything.
#[cfg(feature = "remote")]
pub(crate) fn reference(args: &StoreArgs, text: &str) -> Result<Reference> {
    Reference::parse(text, &author(args))
}

/// The store that the flags or the environment name, for commands that look after it. As [`Registry::open`].
pub(crate) fn store(args: &StoreArgs, create: bool) -> Result<Store> {
    open_store(&own_location(args)?, create)
}

/// The place that the flags or the environment name, whatever lies there: for whoever asks for a store to be made of it.
pub(crate) fn place(args: &StoreArgs) -> Result<Store> {
    at(&own_location(args)?, true)
}

fn own_location(args: &StoreArgs) -> Result<StoreLocation> {
    match location(args.store.as_deref())? {
        StoreLocation::Server(url) => Err(Error::new(ErrorKind::Config, format!("{url} is a server"))
            .with_hint("name the folder or bucket behind it")),
        other => Ok(other),
    }
}

fn open_store(location: &StoreLocation, create: bool) -> Result<Store> {
    let store = at(location, create)?;
    if create {
        store.expect_room()?;
    } else {
        store.expect_store()?;
    }
    Ok(store)
}

fn at(location: &StoreLocation, create: bool) -> Result<Store> {
    let journal = HashCache::default_folder().map(|it| it.join("uploads"));
    Store::open(location, &OpenStore { journal, create })
}

fn location(store: Option<&str>) -> Result<StoreLocation> {
    match store.filter(|it| !it.is_empty()) {
        Some(text) => StoreLocation::parse(text),
        None => default_store_folder().map(StoreLocation::Folder).ok_or_else(|| {
            Error::new(ErrorKind::Config, "there is no home folder to keep a registry in")
                .with_hint("name one with `--store` or NODEDATA_STORE")
        }),
    }
}

/// What this machine has hashed before.
pub(crate) fn cache() -> HashCache {
    HashCache::default_folder().map_or_else(HashCache::none, |it: PathBuf| HashCache::at(&it))
}

/// The name given, or the user's, made to what a dataset's owner may be called.
fn author(args: &StoreArgs) -> String {
    let given = args.author.clone().filter(|it| !it.is_empty());
    let named = given.or_else(|| std::env::var("USER").ok()).unwrap_or_default();
    let letter = |it: char| match it.to_ascii_lowercase() {
        it @ ('a'..='z' | '0'..='9' | '_' | '-') => it,
        _ => '-',
    };
    let name: String = named.chars().map(letter).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "local".to_owned() } else { name.to_owned() }
}
