use std::path::PathBuf;

use clap::Subcommand;

use crate::commands::login_args::ServerArgs;

/// Export and verify the audit log of a server.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AuditCommand {
    /// Write the whole log, its chain checked: as JSON Lines, which can be verified later, or as CSV. Needs the scope `admin`.
    Export {
        /// As CSV (RFC 4180), a row for each line.
        #[arg(long)]
        csv: bool,
        /// File to write; standard output when absent.
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Print where the log ends, signed by the server. Kept elsewhere, it shows a log that was cut later. Needs the scope
    /// `admin`.
    Head {
        /// File to write; standard output when absent.
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Check the chain of a log, and that it goes through heads that were kept; exit 1 when it does not.
    Verify {
        /// A log that was exported as JSON Lines; that of the server when absent, which needs the scope `admin`.
        #[arg(value_name = "FILE")]
        log: Option<PathBuf>,
        /// A head that `audit head` wrote. May be given several times.
        #[arg(long, value_name = "FILE")]
        head: Vec<PathBuf>,
        /// The server's public key, from `audit.key.pub` of its folder of data. Without it a head is held against the key that
        /// it brings, which shows damage and no forgery.
        #[arg(long, value_name = "FILE", requires = "head")]
        key: Option<PathBuf>,
        #[command(flatten)]
        server: ServerArgs,
    },
}
