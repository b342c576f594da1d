use clap::Subcommand;

use crate::commands::login_args::ServerArgs;

/// Roles of accounts and groups on owners and datasets.
///
/// `reader` sees private datasets; `pusher` publishes, tags and attaches; `steward` creates, declares and withdraws as well;
/// `reviewer` answers requests for access; `admin` may do all of it and gives roles there. A token acts by them with the scope
/// `roles`, and reads by them with the scope `read`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RoleCommand {
    /// List roles: all with the scope `admin`, those on what you manage, and your own.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Give a role, in the place of the one that was there.
    Give {
        /// `account:NAME` or `group:NAME`.
        #[arg(value_name = "WHO")]
        who: String,
        /// `reader`, `pusher`, `steward`, `reviewer` or `admin`.
        #[arg(value_name = "ROLE", value_parser = ["reader", "pusher", "steward", "reviewer", "admin"])]
        role: String,
        /// `OWNER/NAME`, or `OWNER/*` for all of an owner.
        #[arg(value_name = "ON")]
        on: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Take a role away, at once.
    Take {
        /// `account:NAME` or `group:NAME`.
        #[arg(value_name = "WHO")]
        who: String,
        /// `OWNER/NAME`, or `OWNER/*` for all of an owner.
        #[arg(value_name = "ON")]
        on: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// Groups of accounts.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum GroupCommand {
    /// List groups with their members: all with the scope `admin`, those that you are in otherwise.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Put an account into a group, which is made when it is not there. Needs the scope `admin`.
    Add {
        /// The group.
        group: String,
        /// The account.
        account: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Take an account out of a group, at once. Needs the scope `admin`.
    Remove {
        /// The group.
        group: String,
        /// The account.
        account: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}
