//! What the program does at its borders (opening, trying again, units, stores), told on stderr for those who ask.

use std::{io::Write, str::FromStr, sync::OnceLock};

use nodedata_core::{Error, ErrorKind, Result, suggest, visible::visible_lines};
use nodedata_io::printable_text;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::{layer, time::uptime},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::message;

/// The variable that says what is told, where no flag does.
const VARIABLE: &str = "RUST_LOG";
/// Our own crates, and the library that tries requests to buckets again. What other libraries tell (headers, bodies)
/// may hold secrets, and is told to nobody.
const TARGETS: [&str; 3] = ["nodedata", "node_data", "object_store"];
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Shorter values are words that may stand anywhere.
const SECRET_LETTERS_MIN: usize = 6;

/// Tells from now on what `-v`, given so many times, or `RUST_LOG` asks for.
///
/// # Errors
/// `Config` when `RUST_LOG` is no list of `LEVEL` and `TARGET=LEVEL`.
pub(crate) fn start(verbose: u8) -> Result<()> {
    let directives = std::env::var(VARIABLE).unwrap_or_default();
    let asked = parse(&directives)?;
    let targets = match verbose {
        0 if directives.trim().is_empty() => return Ok(()),
        0 => asked,
        1 => all(LevelFilter::INFO),
        2.. => all(LevelFilter::DEBUG),
    };
    let told = layer().with_timer(uptime()).with_writer(|| Stderr);
    // Refuses only where something tells already, which then goes on.
    drop(tracing_subscriber::registry().with(targets).with(told).try_init());
    Ok(())
}

fn all(level: LevelFilter) -> Targets {
    Targets::new().with_targets(TARGETS.map(|it| (it, level)))
}

fn parse(directives: &str) -> Result<Targets> {
    let mut targets = Targets::new();
    for directive in directives.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        let (target, level) = match directive.split_once('=') {
            Some((target, level)) => (Some(target.trim()), level.trim()),
            None if TARGETS.iter().any(|it| directive.starts_with(it)) => (Some(directive), "trace"),
            None => (None, directive),
        };
        let is_plain =
            |it: &str| it.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | ':'));
        let filter = LevelFilter::from_str(level).ok().filter(|_| !level.is_empty());
        targets = match (target, filter) {
            (None, Some(level)) => targets.with_targets(TARGETS.map(|it| (it, level))),
            (Some(target), Some(level)) if is_plain(target) && !target.is_empty() => {
                if TARGETS.iter().any(|it| target.starts_with(it)) {
                    targets.with_target(target, level)
                } else {
                    targets
                }
            }
            (Some(_), Some(_)) => {
                return Err(mistake(directive).with_hint("write `TARGET=LEVEL`, such as `nodedata_io=debug`"));
            }
            (_, None) => return Err(mistake(directive).with_hint(suggest(level, LEVELS))),
        };
    }
    Ok(targets)
}

fn mistake(directive: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("`{directive}` in {VARIABLE} is no level, nor a target with its level"),
    )
}

/// Stderr, without what is secret: each event comes as one write.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        static SECRETS: OnceLock<Vec<String>> = OnceLock::new();
        let secrets = SECRETS.get_or_init(|| {
            secrets(
                std::env::vars_os()
                    .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
            )
        });
        let text = without_secrets(&visible_lines(&String::from_utf8_lossy(event)), secrets);
        message::to_stderr(&text);
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Values of variables that are secret by their names.
fn secrets(variables: impl Iterator<Item = (String, String)>) -> Vec<String> {
    const WORDS: [&str; 8] = ["SECRET", "TOKEN", "PASS", "KEY", "CREDENTIAL", "SIGNATURE", "SAS", "AUTH"];
    let is_secret = |name: &str| {
        let name = name.to_ascii_uppercase();
        WORDS.iter().any(|it| name.contains(it))
    };
    variables
        .filter(|(name, value)| is_secret(name) && value.len() >= SECRET_LETTERS_MIN)
        .map(|(_, value)| value)
        .collect()
}

/// The last line of defence: what is told names places by their printable form to begin with.
fn without_secrets(text: &str, secrets: &[String]) -> String {
    let mut clean = printable_text(text);
    for secret in secrets {
        if clean.contains(secret.as_str()) {
            clean = clean.replace(secret.as_str(), "***");
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_of_whatever_is_told() {
        let variables = [("AWS_SECRET_ACCESS_KEY", "s3cr3t-value"), ("MY_TOKEN", "ab"), ("HOME", "/srv/me")];
        let known = secrets(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        for (told, clean) in [
            ("open source=s3://bucket/a\n", "open source=s3://bucket/a\n"),
            ("key s3cr3t-value in /srv/me\n", "key *** in /srv/me\n"),
        ] {
            assert_eq!(without_secrets(told, &known), clean);
        }
    }

    #[test]
    fn directives_are_levels_and_targets_with_levels() {
        for good in ["", "debug", "nodedata_io=trace,warn", "nodedata_registry", "hyper=trace", " info , "] {
            parse(good).unwrap_or_else(|err| panic!("{good}: {err}"));
        }
        for (bad, hint) in [
            ("debgu", "did you mean `debug`?"),
            ("nodedata_io=loud", "one of: off, error, warn, info, debug, trace"),
            ("nodedata_io=", "one of: off, error, warn, info, debug, trace"),
            ("[span]=info", "write `TARGET=LEVEL`, such as `nodedata_io=debug`"),
        ] {
            let err = parse(bad).unwrap_err();
            assert_eq!((err.kind(), err.hint()), (ErrorKind::Config, Some(hint)), "{bad}");
        }
    }

    #[test]
    fn other_libraries_are_not_heard() {
        let targets = parse("trace,hyper=trace").unwrap();
        let hears = |target| targets.would_enable(target, &tracing::Level::INFO);
        assert!(hears("nodedata_io::remote") && hears("node_data") && hears("object_store::client::retry"));
        assert!(!hears("hyper::proto") && !hears("reqwest"));
    }
}
