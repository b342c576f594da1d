use std::{io::Write as _, path::PathBuf};

use clap::Args;
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{StoreLocation, http::server_name};
use nodedata_server::{Database, LogSink, Scope, ServerOptions, openapi, start};
use serde_json::json;

use crate::{
    Outcome,
    args::Output,
    commands::{dataset_args::StoreArgs, registry},
    message,
};

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

/// `node-data serve`.
pub(crate) fn run(args: &ServeArgs, output: Output) -> Result<Outcome> {
    if args.openapi {
        let text = serde_json::to_string_pretty(&openapi()).map_err(std::io::Error::from)?;
        message::to_stdout(&format!("{text}\n"))?;
        return Ok(Outcome::Complete);
    }
    match &args.new_token {
        Some(account) => new_token(args, account, output),
        None => serve(args, output),
    }
}

/// As others type it.
fn public_url(text: &str) -> Result<String> {
    match StoreLocation::parse(text)? {
        StoreLocation::Server(url) => Ok(server_name(&url)),
        StoreLocation::Folder(_) | StoreLocation::Bucket(_) => {
            Err(Error::new(ErrorKind::Config, format!("`--public-url {text}` is no address of a server"))
                .with_hint("write https://HOST"))
        }
    }
}

fn new_token(args: &ServeArgs, account: &str, output: Output) -> Result<Outcome> {
    let scopes = args.scope.iter().map(|it| it.parse()).collect::<Result<Vec<Scope>>>()?;
    let database = Database::open(args.data.as_deref())?;
    let made = database.create_token(account, &scopes, args.days, chrono::Utc::now())?;
    match output {
        Output::Json => {
            let told = json!({"id": made.id, "token": made.token.reveal(), "expires": made.expires});
            message::to_stdout(&message::json_line(&told)?)?;
        }
        Output::Text => {
            message::to_stdout(&format!("{}\n", made.token.reveal()))?;
            message::note(&format!("token {} holds until {}; it is not shown again", made.id, made.expires));
        }
    }
    Ok(Outcome::Complete)
}

fn serve(args: &ServeArgs, output: Output) -> Result<Outcome> {
    let log = if args.quiet {
        LogSink::none()
    } else {
        // A closed stderr is no reason to fail.
        LogSink::new(|line| drop(writeln!(std::io::stderr().lock(), "{line}")))
    };
    let options = ServerOptions {
        listen: args.listen.clone(),
        public_url: args.public_url.as_deref().map(public_url).transpose()?,
        data: args.data.clone(),
        log,
        ..ServerOptions::default()
    };
    let running = start(registry::store(&args.store, true)?, options)?;
    let url = format!("http://{}", running.address());
    match output {
        Output::Json => message::to_stdout(&message::json_line(&json!({"event": "listening", "url": url}))?)?,
        Output::Text => message::to_stdout(&format!("{url}\n"))?,
    }
    if args.data.is_none() {
        message::note("no --data: tokens, grants and the audit log end with this process");
    }
    running
        .wait()
        .map_err(|err| Error::new(ErrorKind::Io, "the system tells no signals").with_source(err))?;
    message::note("finishing what is under way");
    running.stop();
    Ok(Outcome::Complete)
}
