use nodedata_client::{
    Access, Server,
    credentials::{self, VARIABLE},
};
use nodedata_core::{Error, ErrorKind, Result, visible::visible};
use nodedata_registry::http::{HttpRemote, RotateBody, Token, TokenAnswer, TokenBody};

use crate::{
    Outcome,
    args::Output,
    commands::{
        login_args::ServerArgs,
        token_args::{CreateTokenArgs, RotateTokenArgs, TokenCommand},
    },
    documents::{self, TokenMade, TokenRevoked, Tokens},
    message,
};

/// `node-data token`.
pub(crate) fn run(command: TokenCommand, output: Output) -> Result<Outcome> {
    match command {
        TokenCommand::Create(args) => create(&args, output),
        TokenCommand::List { server } => list(&server, output),
        TokenCommand::Rotate(args) => rotate(&args, output),
        TokenCommand::Revoke { id, server } => revoke(&id, &server, output),
    }
}

fn create(args: &CreateTokenArgs, output: Output) -> Result<Outcome> {
    let body = TokenBody { account: args.account.clone(), scopes: args.scope.clone(), valid_days: args.days };
    tell(&Access::from(&args.server).server()?.create_token(&body)?, output)
}

fn tell(made: &TokenAnswer, output: Output) -> Result<Outcome> {
    match output {
        Output::Json => {
            let told = TokenMade { id: &made.id, token: &made.token, expires: &made.expires };
            message::to_stdout(&documents::line(&told)?)?;
        }
        Output::Text => {
            message::to_stdout(&format!("{}\n", made.token))?;
            message::note(&format!("token {} holds until {}; it is not shown again", made.id, made.expires));
        }
    }
    Ok(Outcome::Complete)
}

fn list(args: &ServerArgs, output: Output) -> Result<Outcome> {
    let tokens = Access::from(args).server()?.tokens()?;
    let text = match output {
        Output::Json => documents::line(&Tokens { tokens: &tokens })?,
        Output::Text => tokens
            .iter()
            .map(|it| {
                let used = it.last_used.as_deref().unwrap_or("never");
                let groups = match it.groups.is_empty() {
                    true => String::new(),
                    false => format!("  in {}", visible(&it.groups.join(" "))),
                };
                format!(
                    "{}  {}  {}  {}{groups}\n  made {}, until {}, used {used}\n",
                    it.id,
                    it.state,
                    visible(&it.account),
                    visible(&it.scopes.join(" ")),
                    it.created,
                    it.expires,
                )
            })
            .collect(),
    };
    message::to_stdout(&text)?;
    Ok(Outcome::Complete)
}

fn rotate(args: &RotateTokenArgs, output: Output) -> Result<Outcome> {
    let overlap_seconds = args.overlap.map(|it| it.saturating_mul(3600));
    let body = RotateBody { valid_days: args.days, overlap_seconds };
    if let Some(id) = &args.id {
        return tell(&Access::from(&args.server).server()?.rotate_token(id, &body)?, output);
    }
    let server = Server::of(&Access::from(&args.server))?;
    let sent = credentials::token_for(&server.name)?.ok_or_else(|| {
        Error::new(ErrorKind::Denied, format!("no token is sent to {}", server.name))
            .with_hint(format!("`node-data login --store {}` keeps one", server.name))
    })?;
    let remote = HttpRemote::new(&server.url, Some(sent.token))?;
    let who = remote.whoami()?;
    let id = who.token.ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "the server does not tell the token's name")
            .with_hint("name it: `node-data token rotate ID`")
    })?;
    let made = remote.rotate_token(&id, &body)?;
    if sent.origin == VARIABLE {
        return tell(&made, output);
    }
    // The old one may be over by now: whatever happens next, the new one must not be lost.
    if let Err(err) = credentials::keep(&server.name, &who.account, &Token::parse(&made.token)?) {
        message::print_error(&err, output);
        return tell(&made, output);
    }
    match output {
        Output::Json => tell(&made, output),
        Output::Text => {
            let text = format!("the new token for {} is kept until {}\n", server.name, made.expires);
            message::to_stdout(&text)?;
            Ok(Outcome::Complete)
        }
    }
}

fn revoke(id: &str, args: &ServerArgs, output: Output) -> Result<Outcome> {
    let was_active = Access::from(args).server()?.revoke_token(id)?;
    let text = match output {
        Output::Json => documents::line(&TokenRevoked { id, was_active })?,
        Output::Text if was_active => format!("token {} is taken back\n", visible(id)),
        Output::Text => format!("no token {} holds\n", visible(id)),
    };
    message::to_stdout(&text)?;
    Ok(Outcome::Complete)
}
