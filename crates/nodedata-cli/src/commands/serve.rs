use std::{io::Write as _, path::Path};

use nodedata_client::{Access, Opening};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{DatasetName, StoreLocation, http::server_name};
use nodedata_server::{Backup, Database, Hook, LogSink, Scope, ServerOptions, TlsFiles, openapi, start};

use crate::{
    Outcome,
    args::Output,
    commands::{
        serve_args::{ServeArgs, ServeCommand},
        serve_database,
    },
    documents::{self, BackupTold, Serving, TokenMade},
    human, message,
};

/// `node-data serve`.
pub(crate) fn run(args: &ServeArgs, output: Output) -> Result<Outcome> {
    if args.openapi {
        let text = serde_json::to_string_pretty(&openapi()).map_err(std::io::Error::from)?;
        message::to_stdout(&format!("{text}\n"))?;
        return Ok(Outcome::Complete);
    }
    match &args.command {
        Some(ServeCommand::Backup { data: Some(data), out, .. }) => {
            return told(Some((out.as_path(), data.as_path())), &Database::back_up(data, out)?, output);
        }
        Some(ServeCommand::Backup { data: None, .. }) => return Err(serve_database::no_backup()),
        Some(ServeCommand::Restore { file: Some(file), data: Some(data), .. }) => {
            return told(Some((file.as_path(), data.as_path())), &Database::restore(file, data)?, output);
        }
        Some(ServeCommand::Restore { database, .. }) => {
            let address = serve_database::expected(database.as_deref())?;
            return told(None, &Database::mark_restored(&address)?, output);
        }
        None => {}
    }
    match &args.new_token {
        Some(account) => new_token(args, account, output),
        None => serve(args, output),
    }
}

/// Tells of a backup, with its file and the folder of data; without them of a database of PostgreSQL.
fn told(places: Option<(&Path, &Path)>, backup: &Backup, output: Output) -> Result<Outcome> {
    let n_lines = backup.audit.next_seq;
    let (file, data) = (places.map(|it| it.0), places.map(|it| it.1));
    message::to_stdout(&match output {
        Output::Json => documents::line(&BackupTold {
            file,
            data,
            bytes: backup.bytes,
            audit_lines: n_lines,
            audit_last: backup.audit.last,
            epoch: backup.epoch,
        })?,
        Output::Text => format!(
            "{}: {} bytes, {} of the audit log, which follow each other\n",
            file.map_or_else(|| "the database".to_owned(), |it| it.display().to_string()),
            backup.bytes,
            human::plural(n_lines, "line")
        ),
    })?;
    Ok(Outcome::Complete)
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

/// The database that `--database` names, or else that of `--data`.
fn database(args: &ServeArgs) -> Result<Database> {
    match serve_database::address(args.database.as_deref())? {
        Some(address) => Database::connect(&address),
        None => Database::open(args.data.as_deref()),
    }
}

fn new_token(args: &ServeArgs, account: &str, output: Output) -> Result<Outcome> {
    let scopes = args.scope.iter().map(|it| it.parse()).collect::<Result<Vec<Scope>>>()?;
    let database = database(args)?;
    let made = database.create_token(account, &scopes, args.days, chrono::Utc::now())?;
    match output {
        Output::Json => {
            let told = TokenMade { id: &made.id, token: made.token.reveal(), expires: &made.expires };
            message::to_stdout(&documents::line(&told)?)?;
        }
        Output::Text => {
            message::to_stdout(&format!("{}\n", made.token.reveal()))?;
            message::note(&format!("token {} holds until {}; it is not shown again", made.id, made.expires));
        }
    }
    Ok(Outcome::Complete)
}

/// The secret comes from the environment, so that no list of processes shows it.
fn hooks(urls: &[String]) -> Result<Vec<Hook>> {
    const VARIABLE: &str = "NODEDATA_HOOK_SECRET";
    if urls.is_empty() {
        return Ok(Vec::new());
    }
    let secret = std::env::var(VARIABLE).map_err(|_| {
        Error::new(ErrorKind::Config, format!("the variable {VARIABLE} is not set"))
            .with_hint("set it to a secret that the hooks know as well")
    })?;
    urls.iter().map(|url| Hook::new(url, &secret)).collect()
}

/// Forgets what was seen of logs that the operator has put back from older copies.
fn accept_restored(args: &ServeArgs) -> Result<()> {
    if args.accept_restored.is_empty() {
        return Ok(());
    }
    let database = database(args)?;
    for dataset in &args.accept_restored {
        let dataset: DatasetName = dataset.parse()?;
        let what = match database.forget_checkpoint(&dataset)? {
            true => "is taken as it is in the store now",
            false => "was not seen before, and is taken as it is",
        };
        message::note(&format!("the log of {dataset} {what}"));
    }
    Ok(())
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
        tls: args.tls_cert.clone().zip(args.tls_key.clone()).map(|(cert, key)| TlsFiles { cert, key }),
        hooks: hooks(&args.on_publish)?,
        login: args.oidc.login()?,
        trust: args.oidc.trust()?,
        public_url: args.public_url.as_deref().map(public_url).transpose()?,
        data: args.data.clone(),
        database: serve_database::address(args.database.as_deref())?,
        log,
        limits: args.limits.limits(),
        quotas: args.limits.quotas(),
        refresh_every: std::time::Duration::from_secs(u64::from(args.refresh_every)),
        trusted_proxies: args.trusted_proxy.iter().map(|it| it.parse()).collect::<Result<_>>()?,
        ..ServerOptions::default()
    };
    accept_restored(args)?;
    let running = start(Access::from(&args.store).store(Opening::OrNew)?, options)?;
    let url = running.url();
    match output {
        Output::Json => {
            message::to_stdout(&documents::line(&Serving { event: "listening", url: &url })?)?;
        }
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
