use std::path::Path;

use serde::Serialize;

/// A store that was made.
#[derive(Serialize)]
pub(crate) struct StoreMade<'a> {
    /// Where it is.
    pub(crate) store: &'a str,
}

/// A server that listens.
#[derive(Serialize)]
pub(crate) struct Serving<'a> {
    /// `listening`.
    pub(crate) event: &'static str,
    /// Its address.
    pub(crate) url: &'a str,
}

/// A token that was made.
#[derive(Serialize)]
pub(crate) struct TokenMade<'a> {
    /// Its name, for taking it back.
    pub(crate) id: &'a str,
    /// The secret. It is not shown again.
    pub(crate) token: &'a str,
    /// When it ends, UTC.
    pub(crate) expires: &'a str,
}

/// A token that is kept from now on.
#[derive(Serialize)]
pub(crate) struct LoggedIn<'a> {
    /// The server's address.
    pub(crate) store: &'a str,
    /// Whose token it is.
    pub(crate) account: &'a str,
    /// What it may do.
    pub(crate) scopes: &'a [String],
    /// Where it is kept.
    pub(crate) file: &'a Path,
}

/// A token that is no longer kept.
#[derive(Serialize)]
pub(crate) struct LoggedOut<'a> {
    /// The server's address.
    pub(crate) store: &'a str,
    /// Whether one was kept.
    pub(crate) was_kept: bool,
}

/// Whose token a server is sent.
#[derive(Serialize)]
pub(crate) struct Whoami<'a> {
    /// The server's address.
    pub(crate) store: &'a str,
    /// Whose token it is.
    pub(crate) account: &'a str,
    /// What it may do.
    pub(crate) scopes: &'a [String],
    /// Where it comes from: `NODEDATA_TOKEN`, or the file that it is kept in.
    pub(crate) token: &'a str,
}

/// A folder for the Hugging Face Hub.
#[derive(Serialize)]
pub(crate) struct HubExport<'a> {
    /// The folder.
    pub(crate) out: &'a Path,
    /// Files that are the dataset's own, linked or copied.
    pub(crate) files: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
    /// Files that had to be copied because they could not be linked.
    pub(crate) copied: u64,
}
