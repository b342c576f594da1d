use std::path::Path;

use nodedata_registry::{
    B3,
    http::{GroupInfo, RoleInfo, TokenInfo},
};
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

/// Tokens of a server, without their secrets.
#[derive(Serialize)]
pub(crate) struct Tokens<'a> {
    /// Oldest first.
    pub(crate) tokens: &'a [TokenInfo],
}

/// A token that was taken back.
#[derive(Serialize)]
pub(crate) struct TokenRevoked<'a> {
    /// Its name.
    pub(crate) id: &'a str,
    /// Whether it, or one that it made in its own place, held until then.
    pub(crate) was_active: bool,
}

/// A backup of a server's database that was made, or put in.
#[derive(Serialize)]
pub(crate) struct BackupTold<'a> {
    /// The file of the backup; null for a database of PostgreSQL that was marked.
    pub(crate) file: Option<&'a Path>,
    /// The server's folder of data; null as well.
    pub(crate) data: Option<&'a Path>,
    /// Length of the backup, or what the database takes.
    pub(crate) bytes: u64,
    /// Lines of the audit log in it; their chain was checked.
    pub(crate) audit_lines: u64,
    /// Hash of the last of them; null without any.
    pub(crate) audit_last: Option<B3>,
    /// How many tokens and grants were taken back before it was made.
    pub(crate) epoch: u64,
}

/// Roles on a server.
#[derive(Serialize)]
pub(crate) struct Roles<'a> {
    /// By where they hold.
    pub(crate) roles: &'a [RoleInfo],
}

/// A role that was given, or taken away.
#[derive(Serialize)]
pub(crate) struct RoleChange<'a> {
    /// `account:NAME` or `group:NAME`.
    pub(crate) who: &'a str,
    /// `OWNER/NAME` or `OWNER/*`.
    pub(crate) on: &'a str,
    /// The role that it has now; null for none.
    pub(crate) role: Option<&'a str>,
}

/// Groups of a server.
#[derive(Serialize)]
pub(crate) struct Groups<'a> {
    /// By name.
    pub(crate) groups: &'a [GroupInfo],
}

/// An account that was put into a group, or taken out of it.
#[derive(Serialize)]
pub(crate) struct GroupChange<'a> {
    /// The group.
    pub(crate) group: &'a str,
    /// The account.
    pub(crate) account: &'a str,
    /// Whether it is in it now.
    pub(crate) is_member: bool,
}

/// An audit log that was exported, once its chain was checked.
#[derive(Serialize)]
pub(crate) struct AuditExport<'a> {
    /// `csv` or `jsonl`.
    pub(crate) format: &'static str,
    /// Lines of the log.
    pub(crate) lines: u64,
    /// The file; null when it was not written to one.
    pub(crate) out: Option<&'a Path>,
    /// The log; absent when it was written to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<&'a str>,
}

/// Where the audit log of a server ends.
#[derive(Serialize)]
pub(crate) struct AuditHeadTold<'a> {
    /// Name of the server's database.
    pub(crate) server: String,
    /// When, UTC.
    pub(crate) at: String,
    /// Lines of the log.
    pub(crate) lines: u64,
    /// Hash of the last; null without any.
    pub(crate) last: Option<B3>,
    /// The file that it was written to; null when it was to none.
    pub(crate) out: Option<&'a Path>,
    /// The same, signed: what `audit verify --head` reads.
    pub(crate) signed: &'a str,
}

/// An audit log whose chain holds, and that goes through the heads it was held against.
#[derive(Serialize)]
pub(crate) struct AuditVerified {
    /// Lines of the log.
    pub(crate) lines: u64,
    /// Hash of the last; null without any.
    pub(crate) last: Option<B3>,
    /// Heads that it goes through.
    pub(crate) heads: u64,
    /// The key that signed them; null when none was named.
    pub(crate) signed_by: Option<String>,
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
    /// When the login ends, UTC; absent for a token that an operator made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<&'a str>,
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
    /// Groups of the issuer that its login put it into.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) groups: &'a [String],
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
