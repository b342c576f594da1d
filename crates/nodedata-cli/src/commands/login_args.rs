use clap::Args;
use nodedata_client::Access;

/// Which server.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// The server: `https://…`, as other commands name it.
    #[arg(long, value_name = "URL", env = "NODEDATA_STORE", help_heading = "Registry")]
    pub(crate) store: Option<String>,
}

impl From<&ServerArgs> for Access {
    fn from(args: &ServerArgs) -> Self {
        Self { store: args.store.clone(), ..Self::default() }
    }
}

/// Which server, and where its token comes from.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoginArgs {
    /// Read the token from standard input, for scripts.
    #[arg(long)]
    pub(crate) token_stdin: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}
