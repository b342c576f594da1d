use clap::{Args, Subcommand};

use crate::commands::dataset_args::StoreArgs;

/// Look after a store: a folder or a bucket.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum StoreCommand {
    /// Make a store of a folder or a bucket, once a probe has shown that it is safe.
    Init {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Try whether a place keeps what publishing relies on, and write down what was found.
    Check {
        /// Rounds of the race between writers.
        #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
        rounds: u16,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Look for what is missing or damaged; exit 1 when something is.
    Fsck {
        #[command(flatten)]
        depth: DepthArgs,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Remove blobs that no revision and no push under way needs.
    Gc {
        /// Keep what is younger than this.
        #[arg(long, value_name = "DAYS", default_value_t = 7)]
        grace_days: u32,
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Mend what `fsck` finds; exit 1 when something is left.
    Heal {
        /// Registry that has sound copies.
        #[arg(long, value_name = "STORE")]
        from: Option<String>,
        #[command(flatten)]
        depth: DepthArgs,
        #[command(flatten)]
        store: StoreArgs,
    },
}

/// How much is read.
#[derive(Debug, Clone, Args)]
pub(crate) struct DepthArgs {
    /// Names and lengths only. What is meant when nothing is said.
    #[arg(long, conflicts_with_all = ["full", "sample"])]
    pub(crate) quick: bool,
    /// Every byte.
    #[arg(long, conflicts_with = "sample")]
    pub(crate) full: bool,
    /// Every byte of so many blobs in a hundred, such as `1` or `2.5`.
    #[arg(long, value_name = "PERCENT")]
    pub(crate) sample: Option<f64>,
}
