use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use crate::commands::{dataset_args::StoreArgs, serve_limits::LimitArgs, serve_oidc::OidcArgs};

/// Serve a registry over HTTP: the protocol, and a page for people.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(group = ArgGroup::new("kept").args(["data", "database"]).multiple(true))]
pub(crate) struct ServeArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ServeCommand>,
    /// Where to listen; port 0 takes a free one. Beyond this machine, name a certificate or put a proxy that speaks TLS before it.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// The server's certificate in PEM, then those that lead to its authority. It is read anew when the files change, and on
    /// SIGHUP, for connections that come after.
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "TLS")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    pub(crate) tls_key: Option<PathBuf>,
    /// How readers reach it, such as `https://data.example`: what its pages tell them to type. Say it where a proxy
    /// stands before it; as the browser names it when absent.
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Folder of the server's database: tokens, grants, audit log. In memory when absent, and gone at the end.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The PostgreSQL database of several servers over one store, in the place of the one in `--data`, which then holds
    /// `audit.key` and the catalog of this server: `postgres://USER@HOST:PORT/NAME`, or `postgres:///NAME?host=DIR&user=USER` for
    /// the socket in a folder. To another machine it is encrypted and the certificate checked, by `sslrootcert=FILE` where that
    /// is said, unless it says `sslmode=disable`. The password comes from PGPASSWORD, or with the whole address from
    /// NODEDATA_DATABASE, never from here.
    #[arg(long, value_name = "URL", env = "NODEDATA_DATABASE", hide_env_values = true)]
    pub(crate) database: Option<String>,
    /// Tell this address, by POST, when a revision is published or withdrawn or blobs are purged: at least once each, tried again
    /// until it takes it, signed with the secret in the variable NODEDATA_HOOK_SECRET. May be given several times.
    #[arg(long, value_name = "URL", requires = "data", help_heading = "Hooks")]
    pub(crate) on_publish: Vec<String>,
    /// Make a token for this account, print it once, and end. Works while a server runs.
    #[arg(long, value_name = "ACCOUNT", requires = "kept", help_heading = "Tokens")]
    pub(crate) new_token: Option<String>,
    /// What the token may do: `read`, `roles` (what the account's roles open), `admin`, `read:`, `push:`, `publish:`, `review:` or
    /// `steward:` and OWNER/NAME or OWNER/*. May be given several times.
    #[arg(long, value_name = "SCOPE", requires = "new_token", help_heading = "Tokens")]
    pub(crate) scope: Vec<String>,
    /// How long the token holds.
    #[arg(long, value_name = "N", default_value_t = 90, requires = "new_token", help_heading = "Tokens")]
    pub(crate) days: u32,
    /// The log of this dataset was put back from an older copy of the store: take it as it is now. Without it, a log that
    /// ends before what the server has seen is damage. May be given several times.
    #[arg(long, value_name = "DATASET", requires = "data", conflicts_with = "new_token")]
    pub(crate) accept_restored: Vec<String>,
    /// Print the OpenAPI description of the protocol, and end.
    #[arg(long, conflicts_with = "new_token")]
    pub(crate) openapi: bool,
    /// Write no line per request to stderr.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// How often the store is looked through for datasets and records that came past this server; 0: before every list.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) refresh_every: u32,
    /// A proxy whose `X-Forwarded-For` says where a request comes from: an address, or a network such as 10.0.0.0/8. Nobody
    /// else's is believed. May be given several times.
    #[arg(long, value_name = "NETWORK", help_heading = "Limits")]
    pub(crate) trusted_proxy: Vec<String>,
    #[command(flatten)]
    pub(crate) oidc: OidcArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Backups of a server's database.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ServeCommand {
    /// Copy the database of a server to a file, as it is at one moment, while the server runs. What is there is not replaced.
    ///
    /// The copy holds tokens (hashed), grants and the audit log; it is read again and its chain checked. Data lies in the store,
    /// which is backed up by itself; the key `audit.key` of the folder is not in the copy. A database of PostgreSQL is copied by
    /// `pg_dump`.
    Backup {
        /// The server's folder of data.
        #[arg(long, value_name = "DIR", required_unless_present = "database")]
        data: Option<PathBuf>,
        /// A PostgreSQL database, which is refused with what copies it.
        #[arg(long, value_name = "URL", conflicts_with = "data", hide = true)]
        database: Option<String>,
        /// File to write. Its owner alone may read it.
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Put a backup into a folder that has no database.
    ///
    /// The next server over it learns from its store what was denied, revoked and taken back since, before it answers anybody,
    /// and notes in the audit log what that lacks. A database of PostgreSQL is put back by `pg_restore` while no server runs over
    /// it, and marked here, so that the next server does the same.
    Restore {
        /// What `serve backup` wrote.
        #[arg(value_name = "FILE", required_unless_present = "database", requires = "data")]
        file: Option<PathBuf>,
        /// The folder of data.
        #[arg(long, value_name = "DIR", requires = "file")]
        data: Option<PathBuf>,
        /// The PostgreSQL database that was put back: `serve --database` says how it is named.
        #[arg(long, value_name = "URL", conflicts_with_all = ["file", "data"])]
        database: Option<String>,
    },
}
