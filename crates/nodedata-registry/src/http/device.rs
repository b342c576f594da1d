//! Logging in at an issuer without a browser of one's own: the device flow (RFC 8628).

use std::time::Duration;

use bytes::BytesMut;
use nodedata_core::{Error, ErrorKind, Result, visible::visible};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::{
    http::{
        exchange::new_client,
        issuer::{Discovery, ISSUER_BYTES_MAX, IssuerUrl, endpoint},
        wire::LoginOffer,
    },
    record::from_bytes,
};

/// Longest time that one answer of an issuer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// What polling waits between two questions where the issuer does not say, and by how much more where it says that this is too
/// often (3.5).
const INTERVAL: Duration = Duration::from_secs(5);
/// Longest time that anybody is waited for, whatever the issuer says.
const WAITED_MAX: Duration = Duration::from_secs(3600);

/// A login that somebody must allow in a browser.
pub struct DeviceLogin {
    client: Client,
    client_id: String,
    token: Url,
    device_code: String,
    /// Where to allow it.
    pub address: String,
    /// What to type there.
    pub user_code: String,
    /// The same address with the code in it, where the issuer has one.
    pub whole_address: Option<String>,
    interval: Duration,
    expires_in: Duration,
}

impl std::fmt::Debug for DeviceLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceLogin").field("address", &self.address).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Begun {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u32,
    interval: Option<u32>,
}

#[derive(Deserialize)]
struct Given {
    id_token: Option<String>,
}

/// A refusal of an issuer (RFC 6749, 5.2).
#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// What asking for the token came to.
enum Polled {
    Given(String),
    /// Not yet.
    Pending,
    /// Not yet, and it was asked too soon.
    TooSoon,
}

impl DeviceLogin {
    /// Begins one with what a server offers.
    ///
    /// # Errors
    /// `Unsupported` when the issuer has no device flow; `Config` for an issuer that cannot be trusted; `Denied`, `Io`.
    pub fn begin(offer: &LoginOffer) -> Result<Self> {
        let issuer = IssuerUrl::parse(&offer.issuer)?;
        let client = new_client()?;
        let (status, bytes) = answer(&issuer, client.get(issuer.discovery_url()?))?;
        if !status.is_success() {
            let message = format!("{issuer} answers {status} where it should describe itself");
            return Err(Error::new(ErrorKind::Io, message).with_hint("ask the server's operator"));
        }
        let found = Discovery::parse(&issuer, &bytes)?;
        let (Some(device), Some(token)) = (found.device, found.token) else {
            let message = format!("{issuer} has no login for programs without a browser");
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("log in with a token of the server: `node-data login --token-prompt`"));
        };
        let scope = offer.scopes.join(" ");
        let form = form(&[("client_id", &offer.client_id), ("scope", &scope)]);
        let (status, bytes) = answer(&issuer, posted(&client, device, form))?;
        if !status.is_success() {
            let message = format!("{issuer} does not begin a login: {}", told(status, &bytes));
            return Err(Error::new(ErrorKind::Denied, message)
                .with_hint("ask the server's operator whether its client may use the device flow"));
        }
        let begun: Begun = from_bytes("issuer's answer", &bytes)?;
        endpoint("where to log in", &begun.verification_uri)?;
        let whole = begun.verification_uri_complete.filter(|it| endpoint("where to log in", it).is_ok());
        Ok(Self {
            client,
            client_id: offer.client_id.clone(),
            token,
            device_code: begun.device_code,
            address: visible(&begun.verification_uri).into_owned(),
            user_code: visible(&begun.user_code).into_owned(),
            whole_address: whole.map(|it| visible(&it).into_owned()),
            interval: begun.interval.map_or(INTERVAL, |it| Duration::from_secs(u64::from(it.max(1)))),
            expires_in: Duration::from_secs(u64::from(begun.expires_in)).min(WAITED_MAX),
        })
    }

    /// Asks until somebody has allowed it, and returns the identity token. `wait` waits for as long as it is told.
    ///
    /// # Errors
    /// `Denied` when it was refused, or nobody allowed it in time; `Corrupt` when the issuer gives no identity token; `Io`.
    pub fn finish(self, mut wait: impl FnMut(Duration)) -> Result<String> {
        let (mut interval, mut waited) = (self.interval, Duration::ZERO);
        loop {
            if waited + interval > self.expires_in {
                return Err(Error::new(ErrorKind::Denied, "nobody allowed the login in time")
                    .with_hint("run `node-data login` again"));
            }
            wait(interval);
            waited += interval;
            match self.poll()? {
                Polled::Given(token) => return Ok(token),
                Polled::Pending => {}
                Polled::TooSoon => interval += INTERVAL,
            }
        }
    }

    fn poll(&self) -> Result<Polled> {
        let form = form(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", &self.device_code),
            ("client_id", &self.client_id),
        ]);
        let (status, bytes) = match answer(&self.token, posted(&self.client, self.token.clone(), form)) {
            Ok(it) => it,
            // A line that is down for a moment ends no login: the issuer is left alone for longer (3.5).
            Err(err) if err.kind() == ErrorKind::Io => return Ok(Polled::TooSoon),
            Err(err) => return Err(err),
        };
        if status.is_success() {
            let given: Given = from_bytes("issuer's answer", &bytes)?;
            return given.id_token.map(Polled::Given).ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, "the issuer gives no identity token")
                    .with_hint("ask the server's operator: its client needs the scope `openid`")
            });
        }
        if status.is_server_error() {
            return Ok(Polled::TooSoon);
        }
        let refused = serde_json::from_slice::<Refused>(&bytes).map(|it| it.error).unwrap_or_default();
        let denied = |message: String| Err(Error::new(ErrorKind::Denied, message).with_hint(AGAIN));
        match refused.as_str() {
            "authorization_pending" => Ok(Polled::Pending),
            "slow_down" => Ok(Polled::TooSoon),
            "access_denied" => denied("the login was refused in the browser".to_owned()),
            "expired_token" => denied("nobody allowed the login in time".to_owned()),
            _ => denied(format!("the issuer does not let this log in: {}", told(status, &bytes))),
        }
    }
}

const AGAIN: &str = "run `node-data login` again";

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn posted(client: &Client, url: Url, form: String) -> RequestBuilder {
    client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form)
}

/// The code of a refusal, which an issuer chose.
fn told(status: StatusCode, bytes: &[u8]) -> String {
    match serde_json::from_slice::<Refused>(bytes) {
        Ok(it) => visible(&it.error.chars().take(100).collect::<String>()).into_owned(),
        Err(_) => status.to_string(),
    }
}

/// What an issuer answers, within a time and a size.
fn answer(whom: &impl std::fmt::Display, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>)> {
    let failed = |why: String| {
        Error::new(ErrorKind::Io, format!("{whom} does not answer"))
            .with_source(why)
            .with_hint("check the network, then run `node-data login` again")
    };
    let asked = async {
        let mut response = request.send().await?;
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await? {
            if body.len() + piece.len() > ISSUER_BYTES_MAX {
                return Ok(None);
            }
            body.extend_from_slice(&piece);
        }
        Ok::<_, reqwest::Error>(Some((response.status(), body.to_vec())))
    };
    let answered = nodedata_io::block_on(async { tokio::time::timeout(ANSWER_TIMEOUT, asked).await });
    let answered = answered.map_err(|_| failed(format!("no answer within {ANSWER_TIMEOUT:?}")))?;
    answered.map_err(|err| failed(err.without_url().to_string()))?.ok_or_else(|| {
        Error::new(ErrorKind::Limit, format!("{whom} answers with more than {ISSUER_BYTES_MAX} bytes"))
            .with_hint("is this the address of an issuer?")
    })
}

#[cfg(test)]
mod tests {
    use nodedata_testkit::issuer::Issuer;
    use serde_json::json;

    use super::*;

    /// What a login came to, and the seconds that it waited.
    fn log_in(issuer: &Issuer) -> (Result<String>, Vec<u64>) {
        let scopes = vec!["openid".to_owned()];
        let offer = LoginOffer { issuer: issuer.url(), client_id: "cli".to_owned(), scopes };
        let login = DeviceLogin::begin(&offer).unwrap();
        assert_eq!(login.user_code, "WDJB-MJHT");
        assert_eq!(login.address, format!("{}/activate", issuer.url()));
        assert!(login.whole_address.as_ref().unwrap().ends_with("?user_code=WDJB-MJHT"));
        let mut waits = Vec::new();
        let done = login.finish(|it| waits.push(it.as_secs()));
        (done, waits)
    }

    #[test]
    fn a_device_waits_as_long_as_it_is_told_and_gets_a_token() {
        let issuer = Issuer::new(json!({"sub": "1", "preferred_username": "ada"}));
        issuer.set_device(&["authorization_pending", "slow_down", "authorization_pending"]);
        let (token, waits) = log_in(&issuer);
        assert_eq!(token.unwrap().split('.').count(), 3);
        assert_eq!(waits, [1, 1, 6, 6], "5 s more after each `slow_down`");
    }

    #[test]
    fn refusals_end_it_with_what_to_do() {
        let issuer = Issuer::new(json!({}));
        for (error, why) in [
            ("access_denied", "refused in the browser"),
            ("expired_token", "nobody allowed"),
            ("invalid_client", "invalid_client"),
            ("\u{1b}[31m", "\\u{1b}[31m"),
        ] {
            issuer.set_device(&["authorization_pending", error]);
            let (done, waits) = log_in(&issuer);
            let err = done.unwrap_err();
            assert!(err.kind() == ErrorKind::Denied && err.to_string().contains(why), "{error}: {err}");
            assert!(err.hint().is_some() && waits.len() == 2, "{error}");
        }
        // Nobody ever comes: it ends when the code does.
        issuer.set_device(&["authorization_pending"; 700]);
        let (done, waits) = log_in(&issuer);
        assert!(done.unwrap_err().to_string().contains("in time"));
        assert_eq!(waits.iter().sum::<u64>(), 600);
    }

    #[test]
    fn an_issuer_that_is_down_is_no_end_and_no_beginning() {
        let issuer = Issuer::new(json!({}));
        let offer = |url: String| LoginOffer { issuer: url, client_id: "cli".to_owned(), scopes: Vec::new() };
        let login = DeviceLogin::begin(&offer(issuer.url())).unwrap();
        issuer.set_down(true);
        let mut n_waits = 0;
        let done = login.finish(|_| {
            n_waits += 1;
            issuer.set_down(n_waits < 3);
        });
        assert!(done.is_ok() && n_waits == 3);
        issuer.set_down(true);
        assert_eq!(DeviceLogin::begin(&offer(issuer.url())).unwrap_err().kind(), ErrorKind::Io);
        let err = DeviceLogin::begin(&offer("http://id.example".to_owned())).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Config);
    }
}
