use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    StoreLocation,
    http::{HttpRemote, server_name},
};
use url::Url;

use crate::access::Access;

/// A server by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its address.
    pub url: Url,
    /// As it is shown, and as tokens are kept for it.
    pub name: String,
}

impl Server {
    /// The server that is named.
    ///
    /// # Errors
    /// `Config` when that is no server.
    pub fn of(access: &Access) -> Result<Self> {
        match access.location()? {
            StoreLocation::Server(url) => Ok(Self { name: server_name(&url), url }),
            StoreLocation::Folder(_) | StoreLocation::Bucket(_) => Err(Error::new(
                ErrorKind::Config,
                "this is for a server, and the store is a folder or a bucket",
            )
            .with_hint("name the server with `--store https://…`")),
        }
    }
}

impl Access {
    /// The server, for what only a server can do. Nothing is asked of it yet.
    ///
    /// # Errors
    /// `Config` when the registry is no server; as [`HttpRemote::new`].
    pub fn server(&self) -> Result<HttpRemote> {
        let Server { url, .. } = Server::of(self)?;
        HttpRemote::new(&url, self.token(&url)?)
    }
}
