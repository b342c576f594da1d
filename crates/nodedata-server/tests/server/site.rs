use std::sync::{Arc, Mutex};

use nodedata_core::Silent;
use nodedata_registry::{
    B3, BumpRequest, DatasetName, Direct, Facts, Gate, GateKind, PushOptions, Remote, Sensitivity, Store,
    Visibility,
    gate::{AuditLine, Purpose, Subject, verify_audit},
    http::{AttestBody, HttpRemote, Token},
    push, put_blob,
    record::CommitRecord,
};
use nodedata_server::{Clock, Limits, LogSink, NewToken, Running, Scope, ServerOptions, start};
use nodedata_testkit::registry::{ShardSpec, write_shard};

/// A server over a store in memory, and what it wrote to its log.
pub(crate) struct Site {
    pub(crate) running: Running,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) log: Arc<Mutex<Vec<String>>>,
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

/// What somebody asks for who agrees to a text: all revisions, for grasping.
pub(crate) fn attest_body(text: &str) -> AttestBody {
    AttestBody {
        policy: B3::of(text.as_bytes()),
        revision: None,
        subject: Subject { name: "R. Buyer".to_owned(), ..Subject::default() },
        purpose: Purpose { duo: Vec::new(), text: "grasping".to_owned() },
        affirm: Vec::new(),
    }
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A record as clients of servers send it: without a date, which is the server's to write.
pub(crate) fn undated(record: CommitRecord) -> CommitRecord {
    CommitRecord { at: String::new(), ..record }
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut ServerOptions)) -> Self {
        Self::over(Store::memory(), change)
    }

    pub(crate) fn over(store: Store, change: impl FnOnce(&mut ServerOptions)) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        let clock = Clock::standing_at(1_800_000_000);
        let mut options = ServerOptions {
            listen: "127.0.0.1:0".to_owned(),
            clock: clock.clone(),
            log: LogSink::new(move |line| kept.lock().unwrap().push(line.to_owned())),
            refresh_every: std::time::Duration::ZERO,
            limits: Limits { cost_per_second: 1 << 30, cost_burst: 1 << 30, ..Limits::default() },
            ..ServerOptions::default()
        };
        change(&mut options);
        let running = start(store.clone(), options).unwrap_or_else(|err| panic!("{}", err.chain()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Makes TLS ready, which the client asks for even where it is not used.
        drop(HttpRemote::new(&"http://127.0.0.1".parse().unwrap(), None));
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { running, store, clock, log, runtime, client }
    }

    pub(crate) fn token(&self, account: &str, scopes: &[&str]) -> Token {
        self.new_token(account, scopes).token
    }

    pub(crate) fn new_token(&self, account: &str, scopes: &[&str]) -> NewToken {
        let scopes: Vec<Scope> = scopes.iter().map(|it| it.parse().unwrap()).collect();
        let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        self.running.database().create_token(account, &scopes, 365, now).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.running.address())
    }

    pub(crate) fn remote(&self, token: Option<&Token>) -> HttpRemote {
        HttpRemote::new(&self.url("").parse().unwrap(), token.cloned()).unwrap()
    }

    pub(crate) fn get(&self, path: &str, token: Option<&Token>) -> Answer {
        self.ask(reqwest::Method::GET, path, token, |it| it)
    }

    pub(crate) fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        token: Option<&Token>,
        change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Answer {
        let mut request = self.client.request(method, self.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token.reveal());
        }
        self.runtime.block_on(async {
            let response = change(request).send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Answer {
                status,
                headers,
                body: response.bytes().await.map_or_else(|_| Vec::new(), |it| it.to_vec()),
            }
        })
    }

    /// The lines of the audit log, read as an operator does, their chain checked.
    pub(crate) fn audit(&self) -> Vec<AuditLine> {
        let text = self.remote(Some(&self.token("auditor", &["admin"]))).audit(0).unwrap();
        verify_audit(&text).unwrap();
        text.lines().map(|it| serde_json::from_str(it).unwrap()).collect()
    }

    /// The store, past the server.
    pub(crate) fn direct(&self) -> Direct {
        Direct::new(self.store.clone())
    }

    /// The server, as what reads revisions from it holds it.
    pub(crate) fn shared(&self, token: Option<&Token>) -> Arc<dyn Remote> {
        Arc::new(self.remote(token))
    }

    /// Publishes two shards straight into the store, as somebody who owns it.
    pub(crate) fn publish(
        &self,
        dataset: &str,
        visibility: Visibility,
        sensitivity: Sensitivity,
    ) -> DatasetName {
        let dataset: DatasetName = dataset.parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (idx, name) in ["train-00000.parquet", "val-00000.parquet"].iter().enumerate() {
            let spec =
                ShardSpec { first_episode: idx as i64, n_episodes: 1, n_steps: 20_000, seed: idx as u64 };
            write_shard(&folder.path().join(name), &spec);
        }
        let readme = folder.path().join("CARD.md");
        std::fs::write(&readme, "# Card\n\nPublic words. <script>alert(1)</script>\n").unwrap();
        let shards = ["train-00000.parquet", "val-00000.parquet"].map(|it| folder.path().join(it));
        let mut options = PushOptions::new(dataset.clone(), shards.to_vec(), dataset.owner());
        options.readme = Some(readme);
        (options.visibility, options.sensitivity) = (Some(visibility), Some(sensitivity));
        options.facts = Facts { license: Some("CC-BY-4.0".to_owned()), ..Facts::default() };
        push(&self.direct().shared(), &options, &Silent).unwrap_or_else(|err| panic!("{}", err.chain()));
        dataset
    }

    /// Publishes what is there once more, under what is declared now.
    pub(crate) fn publish_again(&self, dataset: &str) {
        self.publish_as(dataset, BumpRequest::Auto);
    }

    /// The same, under a number that claims at least so much.
    pub(crate) fn publish_as(&self, dataset: &str, bump: BumpRequest) {
        let dataset: DatasetName = dataset.parse().unwrap();
        let mut options = PushOptions::new(dataset.clone(), Vec::new(), dataset.owner());
        options.facts.title = Some("once more".to_owned());
        options.bump = bump;
        push(&self.direct().shared(), &options, &Silent).unwrap_or_else(|err| panic!("{}", err.chain()));
    }

    /// Puts the text of an agreement into the store and says which gate it makes.
    pub(crate) fn gate(&self, dataset: &str, text: &str, approval: &str) -> Gate {
        put_blob(&self.direct(), &dataset.parse().unwrap(), text.as_bytes().to_vec()).unwrap();
        Gate {
            kind: GateKind::Attestation,
            policy: Some(nodedata_registry::B3::of(text.as_bytes())),
            approval: approval.to_owned(),
            valid_days: 30,
        }
    }
}
