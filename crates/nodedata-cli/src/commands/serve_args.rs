use std::path::PathBuf;

use clap::Args;

use crate::commands::dataset_args::StoreArgs;

/// Serve a registry over HTTP: the protocol, and a page for people.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen; port 0 takes a free one. Put a proxy that speaks TLS before anything but this machine.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// How readers reach it, such as `https://data.example`: what its pages tell them to type. Say it where a proxy
    /// stands before it; as the browser names it when absent.
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Folder of the server's database: tokens, grants, audit log. In memory when absent, and gone at the end.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Make a token for this account, print it once, and end. Works while a server runs.
    #[arg(long, value_name = "ACCOUNT", requires = "data", help_heading = "Tokens")]
    pub(crate) new_token: Option<String>,
    /// What the token may do: `read`, `admin`, `read:`, `push:`, `publish:` or `review:` and OWNER/NAME or
    /// OWNER/*. May be given several times.
    #[arg(long, value_name = "SCOPE", requires = "new_token", help_heading = "Tokens")]
    pub(crate) scope: Vec<String>,
    /// How long the token holds.
    #[arg(long, value_name = "N", default_value_t = 90, requires = "new_token", help_heading = "Tokens")]
    pub(crate) days: u32,
    /// Print the OpenAPI description of the protocol, and end.
    #[arg(long, conflicts_with = "new_token")]
    pub(crate) openapi: bool,
    /// Write no line per request to stderr.
    #[arg(long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
