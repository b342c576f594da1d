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
    /// Ask for a token at the terminal, also where the server lets people log in at an issuer.
    #[arg(long, conflicts_with_all = ["token_stdin", "id_token_stdin"])]
    pub(crate) token_prompt: bool,
    /// Read an identity token (a JWT) of an issuer that the server trusts from standard input, as CI has one, and exchange it for a
    /// token of the server.
    #[arg(long, conflicts_with = "token_stdin")]
    pub(crate) id_token_stdin: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}
