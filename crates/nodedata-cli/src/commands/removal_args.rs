use clap::Subcommand;

use crate::commands::dataset_args::StoreArgs;

/// What ends data, names and datasets.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RemovalCommand {
    /// Remove for good what nobody is to use any more: the rows of episodes that were withdrawn, or a withdrawn revision.
    ///
    /// Of episodes, a revision without their rows is published first. Then every revision that holds them is withdrawn, and what no
    /// other needs is removed from the registry. Copies elsewhere are not reached.
    Purge {
        /// The dataset, or a revision that was withdrawn.
        #[arg(value_name = "REF")]
        reference: String,
        /// Withdraw these episodes first, by key.
        #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
        episodes: Vec<String>,
        /// Why, for those who look for what is gone.
        #[arg(long)]
        reason: String,
        /// Say what would be removed, and remove nothing.
        #[arg(long, conflicts_with = "episodes")]
        dry_run: bool,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// End a dataset: nobody sees it any more. Its log and its name stay; `store gc` frees its bytes.
    Delete {
        /// `owner/name`.
        #[arg(value_name = "DATASET")]
        dataset: String,
        /// Why, for those who look for it.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Give a dataset another name. The old one leads to it.
    Rename {
        /// `owner/name`.
        #[arg(value_name = "DATASET")]
        dataset: String,
        /// The new name, without the owner.
        name: String,
        /// Why, for the log.
        #[arg(long, default_value = "renamed")]
        reason: String,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Give a dataset to another owner, under the same name. The old name leads to it.
    Transfer {
        /// `owner/name`.
        #[arg(value_name = "DATASET")]
        dataset: String,
        /// The new owner.
        owner: String,
        /// Why, for the log.
        #[arg(long, default_value = "transferred")]
        reason: String,
        #[command(flatten)]
        store: StoreArgs,
    },
}
