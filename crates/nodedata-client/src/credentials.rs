//! The tokens that `node-data login` keeps: one file a server, which its owner alone may read.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_io::{Writing, io_error, write_file};
use nodedata_registry::{B3, http::Token};
use serde::{Deserialize, Serialize};

/// The variable that goes before what is kept.
pub const VARIABLE: &str = "NODEDATA_TOKEN";
/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The token that a server is sent.
pub struct Sent {
    /// The secret.
    pub token: Token,
    /// Where it comes from: the variable, or a file.
    pub origin: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The server. The file's name does not tell it.
    store: String,
    account: String,
    token: String,
}

/// The token for a server: that of the variable, or else the one that is kept for it.
///
/// # Errors
/// `Config` for a variable or a file that holds none; `Io`.
pub fn token_for(server: &str) -> Result<Option<Sent>> {
    if let Some(token) = of_variable()? {
        return Ok(Some(Sent { token, origin: VARIABLE.to_owned() }));
    }
    let Some(path) = file_of(server) else { return Ok(None) };
    let found = kept(&path, server)?;
    Ok(found.map(|token| Sent { token, origin: path.display().to_string() }))
}

/// The token in the variable.
///
/// # Errors
/// `Config` when there is something else in it.
pub fn of_variable() -> Result<Option<Token>> {
    let text = std::env::var(VARIABLE).ok().filter(|it| !it.trim().is_empty());
    let token = text.map(|it| Token::parse(&it)).transpose();
    token.map_err(|err| {
        let hint = err.hint().unwrap_or_default().to_owned();
        Error::new(ErrorKind::Config, format!("the variable {VARIABLE} holds no token"))
            .with_source(err)
            .with_hint(hint)
    })
}

/// Keeps the token of an account for a server, over an earlier one. Returns where.
///
/// # Errors
/// `Config` without a home folder; `Io`.
pub fn keep(server: &str, account: &str, token: &Token) -> Result<PathBuf> {
    let path = file_of(server).ok_or_else(|| {
        Error::new(ErrorKind::Config, "there is no home folder to keep a token in")
            .with_hint(format!("set XDG_CONFIG_HOME, or use the variable {VARIABLE}"))
    })?;
    if let Some(folder) = path.parent() {
        make_private(folder)?;
    }
    let kept =
        Kept { store: server.to_owned(), account: account.to_owned(), token: token.reveal().to_owned() };
    let text = serde_json::to_string_pretty(&kept).map_err(std::io::Error::from)?;
    write_file(&path, format!("{text}\n").as_bytes(), Writing::ReplaceSecret)?;
    Ok(path)
}

/// Forgets the token that is kept for a server; says whether there was one.
///
/// # Errors
/// `Io`.
pub fn forget(server: &str) -> Result<bool> {
    let Some(path) = file_of(server) else { return Ok(false) };
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(err) => Err(io_error("cannot remove the token", &path, err)),
    }
}

fn kept(path: &Path, server: &str) -> Result<Option<Token>> {
    let file = match fs::OpenOptions::new().read(true).open(path) {
        Ok(file) => file,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(io_error("cannot read the token that is kept", path, err)),
    };
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|err| io_error("cannot read the token that is kept", path, err))?;
    let found = serde_json::from_str::<Kept>(&text).ok().filter(|it| it.store == server);
    let token = found.and_then(|it| Token::parse(&it.token).ok());
    // What was read may be a part of a token: it is not told.
    token.map(Some).ok_or_else(|| {
        Error::new(ErrorKind::Config, format!("the file holds no token for {server}"))
            .at(Locus::path(path))
            .with_hint(format!("`node-data login --store {server}` writes it anew"))
    })
}

/// A file for each server, so that two logins at once cannot undo each other.
fn file_of(server: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    let hex = B3::of(server.as_bytes()).hex();
    Some(config.join("nodedata/tokens").join(format!("{}.json", &hex[..32])))
}

fn make_private(folder: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder).map_err(|err| io_error("cannot make the folder of tokens", folder, err))
}
