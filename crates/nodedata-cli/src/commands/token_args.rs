use clap::{Args, Subcommand};

use crate::commands::login_args::ServerArgs;

/// Make, list, rotate and take back the tokens of a server.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it once. Needs the scope `admin`.
    Create(CreateTokenArgs),
    /// List tokens without their secrets, with when each was used last: all of them with the scope `admin`, your own account's
    /// without.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Make a token in the place of another, with the same account and scopes. Without ID the token that is sent is replaced,
    /// also where `node-data login` keeps it; other tokens need the scope `admin`.
    Rotate(RotateTokenArgs),
    /// Take a token back, at once, and those that it made in its own place by `token rotate`. Needs the scope `admin`.
    Revoke {
        /// Its name, as `token list` shows it.
        id: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// What a token shall be.
#[derive(Debug, Clone, Args)]
pub(crate) struct CreateTokenArgs {
    /// For which account; it is made when it is not there.
    #[arg(value_name = "ACCOUNT")]
    pub(crate) account: String,
    /// What the token may do, as for `serve --scope`. May be given several times.
    #[arg(long, value_name = "SCOPE", required = true)]
    pub(crate) scope: Vec<String>,
    /// How long the token holds.
    #[arg(long, value_name = "N", default_value_t = 90)]
    pub(crate) days: u32,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Which token is replaced, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct RotateTokenArgs {
    /// Its name, as `token list` shows it; the token that is sent when absent.
    #[arg(value_name = "ID")]
    pub(crate) id: Option<String>,
    /// How long the new one holds; as long as the old one was made for when absent.
    #[arg(long, value_name = "N")]
    pub(crate) days: Option<u32>,
    /// Hours that the old one goes on beside it; it ends at once when absent.
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(..=720))]
    pub(crate) overlap: Option<u32>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}
