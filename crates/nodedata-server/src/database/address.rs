//! Where a Postgres database is. An address may hold a password, so no message quotes one.

use std::{collections::BTreeMap, fmt, net::IpAddr, path::Path, sync::Arc, time::Duration};

use nodedata_core::{Error, ErrorKind, Locus, Result, nearest};
use postgres::{Client, Config, NoTls, config::SslMode, config::TargetSessionAttrs, error::SqlState};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use url::{Host, Url};

/// What an address may say behind its `?`.
const OPTIONS: [&str; 4] = ["host", "sslmode", "sslrootcert", "user"];
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the other side may not take what it is sent, or show no sign of life.
const DEAD_AFTER: Duration = Duration::from_secs(20);

/// Where a Postgres database is, and as whom it is spoken to. It shows no password.
#[derive(Clone)]
pub struct DatabaseAddress {
    config: Config,
    /// Host, port and name.
    shown: String,
    tls: Option<MakeRustlsConnect>,
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseAddress").field("shown", &self.shown).finish_non_exhaustive()
    }
}

impl DatabaseAddress {
    /// Reads `postgres://USER@HOST:PORT/NAME`, or `postgres:///NAME?host=FOLDER&user=USER` for the socket in a folder. Connections
    /// to another machine are encrypted, and the certificate is checked, unless it says `sslmode=disable`.
    ///
    /// # Errors
    /// `Config` for what is no such address, and for options that there are not.
    pub fn parse(text: &str) -> Result<Self> {
        // What is wrong may be in a password, which others then take for a host or a port.
        let url = Url::parse(text).map_err(|_| no_address())?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            let message = format!("`{}` is no kind of database that several nodes share", url.scheme());
            return refused(
                message,
                "write postgres://USER@HOST/NAME; without `--database` it is SQLite in `--data`",
            );
        }
        if url.fragment().is_some() {
            return Err(no_address());
        }
        let mut options = options(&url)?;
        let host = host(&url, options.remove("host"))?;
        let user = match (url.username(), options.remove("user")) {
            ("", Some(user)) => user,
            ("", None) => {
                return refused(
                    "the address of the database names no user",
                    "write postgres://USER@HOST/NAME",
                );
            }
            (user, None) => decoded(user)?,
            (_, Some(_)) => {
                return refused("the address of the database names two users", "leave one of them out");
            }
        };
        let name = decoded(url.path().trim_start_matches('/'))?;
        if name.is_empty() || name.contains('/') {
            return refused(
                "the address of the database names no database",
                "write postgres://USER@HOST/NAME",
            );
        }
        let port = url.port().unwrap_or(5432);
        let tls = tls(&host, options.remove("sslmode").as_deref(), options.remove("sslrootcert").as_deref())?;
        let mut config = Config::new();
        config.user(&user).dbname(&name).host(&host).port(port).application_name("node-data");
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        // One that only follows another would know too late what was taken back.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(DEAD_AFTER).keepalives_idle(DEAD_AFTER);
        if let Some(password) = url.password() {
            config.password(decoded(password)?);
        }
        let shown =
            if host.starts_with('/') { format!("{host}/{name}") } else { format!("{host}:{port}/{name}") };
        Ok(Self { config, shown, tls })
    }

    /// Whether the address itself held a password.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// The same with a password, unless it has one.
    #[must_use]
    pub fn or_password(mut self, password: &str) -> Self {
        if !self.has_password() {
            self.config.password(password);
        }
        self
    }

    pub(super) fn connect(&self) -> Result<Client> {
        let connected = match &self.tls {
            Some(tls) => self.config.connect(tls.clone()),
            None => self.config.connect(NoTls),
        };
        connected.map_err(|err| {
            let hint = match err.code() {
                Some(it)
                    if *it == SqlState::INVALID_PASSWORD
                        || *it == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
                {
                    "check the user, and the password in PGPASSWORD or in NODEDATA_DATABASE"
                }
                Some(it) if *it == SqlState::INVALID_CATALOG_NAME => {
                    "make it with `createdb --owner USER NAME`"
                }
                _ => "check that PostgreSQL runs there, and lets this machine in",
            };
            self.told(err).with_hint(hint)
        })
    }

    /// What Postgres says, with its place. Statements of ours name no secret, so its own words may stand.
    pub(super) fn told(&self, err: postgres::Error) -> Error {
        self.failed("failed").with_source(err)
    }

    pub(super) fn failed(&self, what: &str) -> Error {
        Error::new(ErrorKind::Io, format!("the server's database {what}")).at(Locus::path(&self.shown))
    }
}

fn refused<T>(message: impl Into<String>, hint: &str) -> Result<T> {
    Err(Error::new(ErrorKind::Config, message).with_hint(hint))
}

fn no_address() -> Error {
    let hint = "write postgres://USER@HOST:PORT/NAME; what is special in a password is written as %40 for @, %2F for /, …";
    Error::new(ErrorKind::Config, "this is no address of a Postgres database").with_hint(hint)
}

fn decoded(text: &str) -> Result<String> {
    // As a form writes it, but for `+`, which stands for itself here.
    let plain = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    let mut pairs = url::form_urlencoded::parse(plain.as_bytes());
    match pairs.next() {
        Some((_, value)) if !value.contains(['\0', char::REPLACEMENT_CHARACTER]) => Ok(value.into_owned()),
        _ => Err(no_address()),
    }
}

fn options(url: &Url) -> Result<BTreeMap<String, String>> {
    let mut options = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        if !OPTIONS.contains(&&*name) {
            let is_name = name.len() <= 32 && name.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
            if !is_name {
                return Err(no_address());
            }
            let near =
                nearest(&name, OPTIONS).map_or_else(String::new, |it| format!("did you mean `{it}`? "));
            let message = format!("the address of the database has no option `{name}`");
            return refused(message, &format!("{near}there are {}", OPTIONS.join(", ")));
        }
        if options.insert(name.clone().into_owned(), value.into_owned()).is_some() {
            return refused(
                format!("the address of the database says `{name}` twice"),
                "leave one of them out",
            );
        }
    }
    Ok(options)
}

/// A name, an address, or the folder of a socket.
fn host(url: &Url, option: Option<String>) -> Result<String> {
    let named = match url.host() {
        None | Some(Host::Domain("")) => None,
        Some(Host::Domain(it)) => Some(decoded(it)?),
        Some(Host::Ipv4(it)) => Some(it.to_string()),
        Some(Host::Ipv6(it)) => Some(it.to_string()),
    };
    match (named, option) {
        (Some(host), None) | (None, Some(host)) if !host.is_empty() => Ok(host),
        (Some(_), Some(_)) => refused("the address of the database names two hosts", "leave one of them out"),
        _ => refused(
            "the address of the database names no host",
            "write postgres://USER@HOST/NAME, or ?host=FOLDER for the socket in a folder",
        ),
    }
}

/// What encrypts a connection; nothing where it goes in the clear. Of libpq's modes those are here that keep what they promise.
fn tls(host: &str, mode: Option<&str>, roots: Option<&str>) -> Result<Option<MakeRustlsConnect>> {
    let is_near =
        host.starts_with('/') || host == "localhost" || host.parse().is_ok_and(|it: IpAddr| it.is_loopback());
    let encrypts = match mode {
        None => !is_near || roots.is_some(),
        Some("disable") => false,
        Some("require" | "verify-full") => true,
        Some(other @ ("allow" | "prefer" | "verify-ca")) => {
            let message = format!("`sslmode={other}` does not say whom one speaks to, and is not done");
            return refused(message, "write `verify-full`, or `disable` where nobody listens");
        }
        Some(_) => {
            let message = "the address of the database has a mode of TLS that there is not";
            return refused(
                message,
                "`sslmode` is `verify-full`, `require`, which is the same here, or `disable`",
            );
        }
    };
    if !encrypts && roots.is_some() {
        return refused("`sslrootcert` is for connections that are encrypted", "leave out `sslmode=disable`");
    }
    if encrypts && host.starts_with('/') {
        return refused(
            "Postgres encrypts nothing over a socket in a folder",
            "leave out `sslmode`, or name a host",
        );
    }
    encrypts.then(|| client_config(roots.map(Path::new))).transpose().map(|it| it.map(MakeRustlsConnect::new))
}

/// Believes the authorities of a file, or those that this machine believes.
fn client_config(roots: Option<&Path>) -> Result<ClientConfig> {
    let unusable = |err: String| Error::new(ErrorKind::Config, "TLS cannot be spoken here").with_source(err);
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|err| unusable(err.to_string()))?;
    let Some(path) = roots else {
        let builder = builder.with_platform_verifier().map_err(|err| unusable(err.to_string()))?;
        return Ok(builder.with_no_client_auth());
    };
    let no_certificate = |err: String| {
        Error::new(ErrorKind::Config, "the file holds no certificate in PEM")
            .with_source(err)
            .at(Locus::path(path))
    };
    let certs = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|err| no_certificate(err.to_string()))?;
    let mut store = RootCertStore::empty();
    for cert in certs {
        store.add(cert).map_err(|err| no_certificate(err.to_string()))?;
    }
    if store.is_empty() {
        return Err(no_certificate("it is empty of them".to_owned()));
    }
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> DatabaseAddress {
        DatabaseAddress::parse(text).unwrap_or_else(|err| panic!("{text}: {}", err.chain()))
    }

    #[test]
    fn addresses_name_host_user_and_database() {
        let it = of("postgres://ada@db.example/nodedata");
        assert_eq!(
            (it.shown.as_str(), it.tls.is_some(), it.has_password()),
            ("db.example:5432/nodedata", true, false)
        );
        let it = of("postgresql://ada:p%40%2B+ss@[::1]:6000/x");
        assert_eq!((it.shown.as_str(), it.tls.is_some()), ("::1:6000/x", false));
        assert_eq!(it.config.get_password(), Some(b"p@++ss".as_slice()));
        assert_eq!(it.or_password("other").config.get_password(), Some(b"p@++ss".as_slice()));
        let it = of("postgres:///x?host=/run/postgresql&user=ada");
        assert_eq!((it.shown.as_str(), it.config.get_user()), ("/run/postgresql/x", Some("ada")));
        assert!(of("postgres://ada@db.example/x?sslmode=disable").tls.is_none());
        assert!(of("postgres://ada@127.0.0.1/x?sslmode=verify-full").tls.is_some());
    }

    #[test]
    fn what_is_no_address_is_told_without_what_may_be_a_password() {
        for (text, told) in [
            ("", "no address"),
            ("server.sqlite", "no address"),
            ("mysql://ada@h/x", "`mysql`"),
            ("postgres://ada:geheim@/x", "no address"),
            ("postgres://h/x", "names no user"),
            ("postgres://ada@h", "names no database"),
            ("postgres://ada:geheim@h/x?host=/run", "two hosts"),
            ("postgres:///x?user=ada", "names no host"),
            ("postgres://ada:gehe#im@h/x", "no address"),
            ("postgres://ada:5?geheim4@h/x", "no address"),
            ("postgres://ada:geheim@h/x?sslmode=prefer", "does not say whom"),
            ("postgres://ada:geheim@h/x?sslmode=maybe", "mode of TLS"),
            ("postgres://ada:geheim@h/x?sslmod=disable", "no option `sslmod`"),
            ("postgres://ada:geheim@h/x?sslmode=disable&sslmode=require", "twice"),
            ("postgres://ada:geheim@h/x?sslmode=disable&sslrootcert=a.pem", "encrypted"),
            ("postgres:///x?host=/run&user=ada&sslmode=require", "socket"),
        ] {
            let err = DatabaseAddress::parse(text).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Config, "{text}");
            let whole = format!("{} {}", err.chain(), err.hint().unwrap_or_default());
            assert!(whole.contains(told), "{text}: {whole}");
            assert!(!whole.contains("geheim"), "{whole}");
        }
        assert!(!format!("{:?}", of("postgres://ada:geheim@h/x?sslmode=disable")).contains("geheim"));
    }
}
