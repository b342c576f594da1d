use std::time::Duration;

use nodedata_core::{Error, ErrorKind, Result};
use reqwest::Client;

/// A client that asks others, each within a time. It follows nobody elsewhere.
///
/// # Errors
/// `Io`.
pub(crate) fn client(timeout: Duration) -> Result<Client> {
    // Somebody else may have done so already.
    drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .user_agent(concat!("node-data/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|err| {
            Error::new(ErrorKind::Io, "nobody can be asked over HTTP").with_source(err.without_url())
        })
}
