use std::io::{IsTerminal as _, Read as _};

use console::Term;
use nodedata_client::{
    Access, Server,
    credentials::{self, VARIABLE},
};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::http::{DeviceLogin, HttpRemote, Token};

use crate::{
    Outcome,
    args::Output,
    commands::login_args::{LoginArgs, ServerArgs},
    documents::{self, LoggedIn, LoggedOut, Whoami},
    message,
};

/// Longest text that is taken for a token of a server or of an issuer.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// What a login gave.
struct Got {
    token: Token,
    /// When it ends, where that is told.
    expires: Option<String>,
}

/// `node-data login`.
pub(crate) fn login(args: &LoginArgs, output: Output) -> Result<Outcome> {
    let server = server(&args.server)?;
    let got = get(args, &server)?;
    // One that opens nothing is not kept.
    let who = HttpRemote::new(&server.url, Some(got.token.clone()))?.whoami()?;
    let file = credentials::keep(&server.name, &who.account, &got.token)?;
    let text = match output {
        Output::Json => documents::line(&LoggedIn {
            store: &server.name,
            account: &who.account,
            scopes: &who.scopes,
            expires: got.expires.as_deref(),
            file: &file,
        })?,
        Output::Text => {
            let until = got.expires.as_ref().map_or_else(String::new, |it| format!(" until {it}"));
            format!("logged in to {} as {} ({}){until}\n", server.name, who.account, who.scopes.join(", "))
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
            groups: &who.groups,
            token: &sent.origin,
        })?,
        Output::Text => format!(
            "account  {}\nserver   {}\nscopes   {}\n{}token    of {}\n",
            who.account,
            server.name,
            who.scopes.join(", "),
            match who.groups.is_empty() {
                true => String::new(),
                false => format!("groups   {}\n", who.groups.join(", ")),
            },
            sent.origin
        ),
    };
    message::to_stdout(&text)?;
    Ok(Outcome::Complete)
}

fn server(args: &ServerArgs) -> Result<Server> {
    Server::of(&Access::from(args))
}

/// A token of the server, from wherever the flags say; without any by the way that the server offers.
fn get(args: &LoginArgs, server: &Server) -> Result<Got> {
    let own = |token: Token| Got { token, expires: None };
    if args.token_stdin {
        return Token::parse(&from_stdin()?).map(own);
    }
    let remote = HttpRemote::new(&server.url, None)?;
    if args.id_token_stdin {
        return exchanged(&remote, from_stdin()?.trim());
    }
    let offer = if args.token_prompt { None } else { remote.login_offer()? };
    let Some(offer) = offer else { return from_prompt(&server.name).map(own) };
    let login = DeviceLogin::begin(&offer)?;
    let address = login.whole_address.as_ref().unwrap_or(&login.address);
    message::note(&format!("to log in, open {address} in a browser; the code is {}", login.user_code));
    let identity = login.finish(std::thread::sleep)?;
    exchanged(&remote, &identity)
}

fn exchanged(remote: &HttpRemote, identity: &str) -> Result<Got> {
    let answer = remote.exchange_identity(identity)?;
    Ok(Got { token: Token::parse(&answer.access_token)?, expires: Some(answer.expires) })
}

fn from_stdin() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(TOKEN_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|err| {
        Error::new(ErrorKind::Io, "cannot read the token from standard input").with_source(err)
    })?;
    Ok(text)
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
