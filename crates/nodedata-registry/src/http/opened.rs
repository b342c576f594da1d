use std::sync::Arc;

use nodedata_core::Result;
use url::Url;

use crate::{http::Token, remote::Remote};

/// How a server is named: its address without what could be a secret, and without a slash at the end.
pub fn server_name(address: &Url) -> String {
    nodedata_io::printable(address.as_str()).trim_end_matches('/').to_owned()
}

/// The registry that a server keeps. Nothing is asked of it yet.
///
/// # Errors
/// As `HttpRemote::new`.
#[cfg(feature = "remote")]
pub fn at_server(address: &Url, token: Option<Token>) -> Result<Arc<dyn Remote>> {
    Ok(Arc::new(super::HttpRemote::new(address, token)?))
}

/// No registry: this build speaks to no servers.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(feature = "remote"))]
pub fn at_server(address: &Url, _: Option<Token>) -> Result<Arc<dyn Remote>> {
    use nodedata_core::{Error, ErrorKind};
    let label = nodedata_io::printable(address.as_str());
    Err(Error::new(ErrorKind::Unsupported, format!("this build speaks to no servers: {label}"))
        .with_hint("build with the feature `remote`, or name a folder"))
}
