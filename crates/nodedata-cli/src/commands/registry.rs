use std::{path::PathBuf, sync::Arc};

use nodedata_core::{Error, ErrorKind, Result};
#[cfg(feature = "remote")]
use nodedata_registry::http::HttpRemote;
use nodedata_registry::{
    Direct, HashCache, OpenStore, Reference, Remote, Store, StoreLocation, default_store_folder,
    http::{Token, at_server},
};

use crate::commands::dataset_args::StoreArgs;

/// A registry, and who speaks to it.
pub(crate) struct Registry {
    pub(crate) remote: Arc<dyn Remote>,
    /// Who does what is done.
    pub(crate) author: String,
}

impl Registry {
    /// Opens the registry that the flags or the environment name. With `create`, a folder that is not there
    /// becomes one.
    pub(crate) fn open(args: &StoreArgs, create: bool) -> Result<Self> {
        let remote: Arc<dyn Remote> = match location(args)? {
            StoreLocation::Server(url) => at_server(&url, token()?)?,
            other => Arc::new(Direct::new(open_store(&other, create)?)),
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
        let (StoreLocation::Server(url), Some(name)) = (location(&args)?, token) else {
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

/// The server that the flags or the environment name, for what only a server can do.
#[cfg(feature = "remote")]
pub(crate) fn server(args: &StoreArgs) -> Result<HttpRemote> {
    match location(args)? {
        StoreLocation::Server(url) => HttpRemote::new(&url, token()?),
        StoreLocation::Folder(_) | StoreLocation::Bucket(_) => {
            Err(Error::new(ErrorKind::Config, "a gate is kept by a server, and this is a store without one")
                .with_hint("name the server with `--store https://…`"))
        }
    }
}

/// What a reference means, without opening anything.
#[cfg(feature = "remote")]
pub(crate) fn reference(args: &StoreArgs, text: &str) -> Result<Reference> {
    Reference::parse(text, &author(args))
}

/// The store that the flags or the environment name, for commands that look after it.
pub(crate) fn store(args: &StoreArgs, create: bool) -> Result<Store> {
    match location(args)? {
        StoreLocation::Server(url) => Err(Error::new(ErrorKind::Config, format!("{url} is a server"))
            .with_hint("name the folder or bucket behind it")),
        other => open_store(&other, create),
    }
}

fn open_store(location: &StoreLocation, create: bool) -> Result<Store> {
    let journal = HashCache::default_folder().map(|it| it.join("uploads"));
    Store::open(location, &OpenStore { journal, create })
}

fn location(args: &StoreArgs) -> Result<StoreLocation> {
    match args.store.as_deref().filter(|it| !it.is_empty()) {
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

/// The secret that opens a server; from the environment only, so that no list of processes shows it.
fn token() -> Result<Option<Token>> {
    let text = std::env::var("NODEDATA_TOKEN").ok().filter(|it| !it.trim().is_empty());
    text.map(|it| Token::parse(&it)).transpose()
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
