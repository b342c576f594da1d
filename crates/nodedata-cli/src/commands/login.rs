use std::io::{IsTerminal as _, Read as _};

use console::Term;
use nodedata_client::{
    Access, Server,
    credentials::{self, VARIABLE},
};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::http::{HttpRemote, Token};

use crate::{
    Outcome,
    args::Output,
    commands::login_args::{LoginArgs, ServerArgs},
    documents::{self, LoggedIn, LoggedOut, Whoami},
    message,
};

/// Longest text that is taken for a token.
const TOKEN_BYTES_MAX: u64 = 4 << 10;

/// `node-data login`.
pub(crate) fn login(args: &LoginArgs, output: Output) -> Result<Outcome> {
    let server = server(&args.server)?;
    let token = if args.token_stdin { from_stdin()? } else { from_prompt(&server.name)? };
    // One that opens nothing is not kept.
    let who = HttpRemote::new(&server.url, Some(token.clone()))?.whoami()?;
    let file = credentials::keep(&server.name, &who.account, &token)?;
    let text = match output {
        Output::Json => documents::line(&LoggedIn {
            store: &server.name,
            account: &who.account,
            scopes: &who.scopes,
            file: &file,
        })?,
        Output::Text => {
            format!("logged in to {} as {} ({})\n", server.name, who.account, who.scopes.join(", "))
        }
    };
    message::to_stdout(&text)?;
    if credentials::of_variable()?.is_some() {
        message::note(&format!("{VARIABLE} is set, and goes before the token that is kept now"));
    }
    Ok(Outcome::Complete)
}

/// `node-data logout`.
pub(crate) fn logout(args: &ServerArgs, output: Output) -> Result<Outcome> {
    let server = server(args)?;
    let was_kept = credentials::forget(&server.name)?;
    let text = match output {
        Output::Json => documents::line(&LoggedOut { store: &server.name, was_kept })?,
        Output::Text if was_kept => format!("logged out of {}\n", server.name),
        Output::Text => format!("no token was kept for {}\n", server.name),
    };
    message::to_stdout(&text)?;
    if credentials::of_variable()?.is_some() {
        message::note(&format!("{VARIABLE} is set, and still sent"));
    }
    Ok(Outcome::Complete)
}

/// `node-data whoami`.
pub(crate) fn whoami(args: &ServerArgs, output: Output) -> Result<Outcome> {
    let server = server(args)?;
    let sent = credentials::token_for(&server.name)?.ok_or_else(|| {
        Error::new(
            ErrorKind::Denied,
            format!("no token is kept for {}, and {VARIABLE} is not set", server.name),
        )
        .with_hint(format!("`node-data login --store {}` keeps one", server.name))
    })?;
    let who = HttpRemote::new(&server.url, Some(sent.token))?.whoami()?;
    let text = match output {
        Output::Json => documents::line(&Whoami {
            store: &server.name,
            account: &who.account,
            scopes: &who.scopes,
            token: &sent.origin,
        })?,
        Output::Text => format!(
            "account  {}\nserver   {}\nscopes   {}\ntoken    of {}\n",
            who.account,
            server.name,
            who.scopes.join(", "),
            sent.origin
        ),
    };
    message::to_stdout(&text)?;
    Ok(Outcome::Complete)
}

fn server(args: &ServerArgs) -> Result<Server> {
    Server::of(&Access::from(args))
}

fn from_stdin() -> Result<Token> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(TOKEN_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|err| {
        Error::new(ErrorKind::Io, "cannot read the token from standard input").with_source(err)
    })?;
    Token::parse(&text)
}

fn from_prompt(server: &str) -> Result<Token> {
    let terminal = Term::stderr();
    if !terminal.is_term() || !std::io::stdin().is_terminal() {
        return Err(Error::new(ErrorKind::Config, "there is no terminal to ask for the token")
            .with_hint("hand it over with `--token-stdin`, from a file or a keeper of secrets"));
    }
    let asked = terminal.write_str(&format!("token for {server}: "));
    let text = asked.and_then(|()| terminal.read_secure_line());
    Token::parse(&text.map_err(|err| {
        Error::new(ErrorKind::Io, "cannot read the token from the terminal").with_source(err)
    })?)
}
