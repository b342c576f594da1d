//! An OpenID issuer on this machine, for tests of who believes it: its keys change when a test says so, browsers are let in at once,
//! and devices as the test has laid down.

mod requests;
mod signer;

use std::{
    collections::{BTreeMap, VecDeque},
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use requests::Request;
pub use signer::Signer;

/// A time that is over for everybody, in seconds since 1970: when tokens say they were made.
pub const MADE: i64 = 1_000_000_000;
/// One that has come for nobody: when tokens say they end.
pub const UNTIL: i64 = 4_000_000_000;

/// An issuer that runs until it is dropped.
pub struct Issuer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct State {
    url: String,
    keys: Vec<Signer>,
    /// What identity tokens of people say beside who made them, for whom and when.
    person: Value,
    /// The secret that clients must tell; none for those that have none.
    secret: Option<String>,
    /// Errors that devices are told, one for each question, before they are let in.
    device: VecDeque<String>,
    /// Codes of browsers, each for one use.
    codes: BTreeMap<String, BTreeMap<String, String>>,
    asked: Vec<String>,
    is_down: bool,
}

impl Issuer {
    /// With one key for ES256, for people of whom tokens say this.
    pub fn new(person: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("this machine has a free port");
        let address = listener.local_addr().expect("it listens somewhere");
        let state = Arc::new(Mutex::new(State {
            url: format!("http://{address}"),
            keys: vec![Signer::es256("first")],
            person,
            secret: None,
            device: VecDeque::new(),
            codes: BTreeMap::new(),
            asked: Vec::new(),
            is_down: false,
        }));
        let is_over = Arc::new(AtomicBool::new(false));
        let (shared, over) = (Arc::clone(&state), Arc::clone(&is_over));
        let thread = std::thread::Builder::new().spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                // A connection that breaks is the other side's affair.
                if let Ok(stream) = stream {
                    drop(serve(&shared, stream));
                }
            }
        });
        Self { address, state, is_over, thread: Some(thread.expect("the process may start threads")) }
    }

    /// As its tokens name it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Publishes these keys from now on; the last one signs.
    pub fn set_keys(&self, keys: Vec<Signer>) {
        self.state().keys = keys;
    }

    /// Asks clients for this secret.
    pub fn set_secret(&self, secret: &str) {
        self.state().secret = Some(secret.to_owned());
    }

    /// Tells devices these errors, one for each question, before they are let in.
    pub fn set_device(&self, errors: &[&str]) {
        self.state().device = errors.iter().map(ToString::to_string).collect();
    }

    /// Answers nothing but errors.
    pub fn set_down(&self, is_down: bool) {
        self.state().is_down = is_down;
    }

    /// A token of it, with these claims over those that every token has.
    pub fn token(&self, claims: Value) -> String {
        self.state().signed(claims)
    }

    /// How often it was asked for a path.
    pub fn n_asked(&self, path: &str) -> usize {
        self.state().asked.iter().filter(|it| *it == path).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(state: &Mutex<State>, mut stream: TcpStream) -> std::io::Result<()> {
    let Some(request) = Request::read(&stream) else { return Ok(()) };
    let (status, headers, body) = lock(state).answer(&request);
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// Status, headers and body.
type Answer = (u16, String, String);

fn told(body: &Value) -> Answer {
    (200, "content-type: application/json\r\n".to_owned(), body.to_string())
}

fn refused(error: &str) -> Answer {
    (400, "content-type: application/json\r\n".to_owned(), json!({"error": error}).to_string())
}

impl State {
    fn answer(&mut self, request: &Request) -> Answer {
        self.asked.push(request.path.clone());
        if self.is_down {
            return (503, String::new(), String::new());
        }
        let url = &self.url;
        match request.path.as_str() {
            "/.well-known/openid-configuration" => told(&json!({
                "issuer": url, "jwks_uri": format!("{url}/keys"), "token_endpoint": format!("{url}/token"),
                "authorization_endpoint": format!("{url}/authorize"),
                "device_authorization_endpoint": format!("{url}/device"),
                "response_types_supported": ["code"], "subject_types_supported": ["public"],
            })),
            "/keys" => {
                // Issuers publish keys for other things, too.
                let other = json!({"kty": "oct", "kid": "other", "k": "AAAA"});
                let keys: Vec<Value> = self.keys.iter().map(Signer::jwk).chain([other]).collect();
                told(&json!({"keys": keys}))
            }
            "/authorize" => self.authorize(&request.query),
            "/device" => told(&json!({
                "device_code": "device code", "user_code": "WDJB-MJHT", "expires_in": 600, "interval": 1,
                "verification_uri": format!("{url}/activate"),
                "verification_uri_complete": format!("{url}/activate?user_code=WDJB-MJHT"),
            })),
            "/token" => self.give(request),
            _ => (404, String::new(), String::new()),
        }
    }

    /// Lets a browser in, and sends it back with a code.
    fn authorize(&mut self, query: &BTreeMap<String, String>) -> Answer {
        let said = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        let asks_well = said("response_type") == "code" && said("code_challenge_method") == "S256";
        if !asks_well || !said("scope").split(' ').any(|it| it == "openid") {
            return refused("invalid_request");
        }
        let code = format!("code-{}", self.codes.len());
        self.codes.insert(code.clone(), query.clone());
        let location = format!("{}?code={code}&state={}", said("redirect_uri"), said("state"));
        (302, format!("location: {location}\r\n"), String::new())
    }

    fn give(&mut self, request: &Request) -> Answer {
        let form = request.form();
        let said = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if let Some(secret) = &self.secret
            && request.password().as_ref() != Some(secret)
        {
            return refused("invalid_client");
        }
        match said("grant_type") {
            "authorization_code" => {
                let Some(asked) = self.codes.remove(said("code")) else { return refused("invalid_grant") };
                let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(said("code_verifier")));
                let is_same = |name: &str| asked.get(name) == form.get(name);
                if asked.get("code_challenge") != Some(&challenge) || !is_same("redirect_uri") {
                    return refused("invalid_grant");
                }
                let client = asked.get("client_id").cloned().unwrap_or_default();
                self.given(&client, asked.get("nonce"))
            }
            "urn:ietf:params:oauth:grant-type:device_code" => match self.device.pop_front() {
                Some(error) => refused(&error),
                None if said("device_code") == "device code" => self.given(said("client_id"), None),
                None => refused("invalid_grant"),
            },
            _ => refused("unsupported_grant_type"),
        }
    }

    fn given(&self, client: &str, nonce: Option<&String>) -> Answer {
        let mut claims = self.person.clone();
        claims["aud"] = client.into();
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.as_str().into();
        }
        let token = self.signed(claims);
        told(&json!({"access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "id_token": token}))
    }

    fn signed(&self, claims: Value) -> String {
        let mut all = json!({"iss": self.url, "iat": MADE, "exp": UNTIL});
        if let (Some(all), Value::Object(claims)) = (all.as_object_mut(), claims) {
            all.extend(claims);
        }
        self.keys.last().expect("an issuer signs").sign(&all)
    }
}
