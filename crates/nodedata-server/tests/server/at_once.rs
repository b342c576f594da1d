//! Ranges that are answered without waiting for disk or database: nothing that was taken back, shut or damaged goes out that way.
//! Those of folders only, whose file systems say what is in memory.

use nodedata_registry::{
    B3, DataClass, NewDeclaration, OpenStore, Sensitivity, Store, StoreLocation, Visibility, declare,
    http::Token,
};
use nodedata_server::Limits;
use reqwest::Method;
use tempfile::TempDir;

use crate::{
    protocol::none,
    site::{Answer, Site},
};

/// A server over folders, and a shard of `lab/x`.
struct Served {
    site: Site,
    data: TempDir,
    _store: TempDir,
    path: String,
    whole: Vec<u8>,
}

impl Served {
    fn new(visibility: Visibility, limits: Limits) -> Self {
        let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let location = StoreLocation::Folder(folder.path().join("store"));
        let store = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
        let site = Site::over(store, |it| (it.data, it.limits) = (Some(data.path().to_owned()), limits));
        site.publish("lab/x", visibility, none());
        let whole = site.get("v1/d/lab/x/shards/0", Some(&site.token("lab", &["read"]))).body;
        let path = format!("v1/d/lab/x/blobs/{}", B3::of(&whole).hex());
        Self { site, data, _store: folder, path, whole }
    }

    fn range(&self, token: Option<&Token>) -> Answer {
        let answer = self.site.ask(Method::GET, &self.path, token, |it| it.header("range", "bytes=5-99"));
        assert!(answer.status != 206 || answer.body == self.whole[5..100]);
        answer
    }

    fn n_at_once(&self) -> u64 {
        let metrics = self.site.get("metrics", None).text();
        let line = metrics.lines().find(|it| it.starts_with("nodedata_requests_at_once_total ")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Asks until that needs no waiting. Says whether it comes to that: not every file system says what is in memory.
    fn warm(&self, token: Option<&Token>) -> bool {
        for _ in 0..3 {
            assert_eq!(self.range(token).status, 206);
            self.site.clock.advance(3);
        }
        let before = self.n_at_once();
        let cold = self.range(token);
        let warm = self.range(token);
        assert_eq!((cold.status, &cold.body, &cold.headers.len()), (206, &warm.body, &warm.headers.len()));
        for (name, value) in &cold.headers {
            assert!(name == "date" || warm.headers.get(name) == Some(value), "{name}");
        }
        self.n_at_once() > before
    }
}

fn roomy() -> Limits {
    Limits { cost_per_second: 1 << 30, cost_burst: 1 << 30, ..Limits::default() }
}

/// A statement of another process, such as `node-data serve --new-token`.
fn sql(data: &TempDir, text: &str) {
    let connection = rusqlite::Connection::open(data.path().join("server.sqlite")).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    connection.execute_batch(text).unwrap();
}

#[test]
fn what_is_taken_back_is_refused_at_the_next_range() {
    let served = Served::new(Visibility::Private, roomy());
    let site = &served.site;
    let root = site.token("root", &["admin"]);
    let by_role = site.token("ada", &["roles"]);
    assert_eq!(served.range(Some(&by_role)).status, 404);
    // What a group gives and takes, and a role.
    let remote = site.remote(Some(&root));
    for _ in 0..2 {
        remote.give_role("group:readers", "lab/x", "reader").unwrap();
        remote.add_member("readers", "ada").unwrap();
        served.warm(Some(&by_role));
        remote.remove_member("readers", "ada").unwrap();
        assert_eq!(served.range(Some(&by_role)).status, 404);
        remote.add_member("readers", "ada").unwrap();
        served.warm(Some(&by_role));
        remote.take_role("group:readers", "lab/x").unwrap();
        assert_eq!(served.range(Some(&by_role)).status, 404);
    }
    // The token itself: by the server, by another process, and by its time.
    let (first, second, third) = (
        site.new_token("lab", &["read"]),
        site.new_token("lab", &["read"]),
        site.new_token("lab", &["read"]),
    );
    served.warm(Some(&first.token));
    assert!(remote.revoke_token(&first.id).unwrap());
    assert_eq!(served.range(Some(&first.token)).code(), "token-unknown");
    served.warm(Some(&second.token));
    sql(&served.data, &format!("UPDATE tokens SET revoked = 1 WHERE id = '{}'", second.id));
    assert_eq!(served.range(Some(&second.token)).code(), "token-unknown");
    served.warm(Some(&third.token));
    site.clock.advance(365 * 24 * 3600);
    assert_eq!(served.range(Some(&third.token)).code(), "token-unknown");
}

#[test]
fn what_is_shut_past_the_server_is_shut_at_the_next_range() {
    let served = Served::new(Visibility::Public, roomy());
    let site = &served.site;
    let (owner, stranger) = (site.token("lab", &["read"]), site.token("ada", &["read"]));
    for token in [None, Some(&owner), Some(&stranger)] {
        served.warm(token);
    }
    let declare = |new: &NewDeclaration| {
        declare(&site.direct().shared(), &"lab/x".parse().unwrap(), "lab", new).unwrap()
    };
    let gate = site.gate("lab/x", "I agree.", "manual");
    let sensitivity = Sensitivity { class: DataClass::Biometric, gate: Some(gate), ..Sensitivity::default() };
    declare(&NewDeclaration { sensitivity: Some(sensitivity), ..NewDeclaration::default() });
    assert_eq!(served.range(None).code(), "attestation-required");
    assert_eq!(served.range(Some(&stranger)).code(), "attestation-required");
    // Whose it is reads on, and each read is noted, however often and lately it was verified.
    let n_reads =
        || site.audit().iter().filter(|it| it.event.action == "read" && it.event.who == "lab").count();
    let (before, n_at_once) = (n_reads(), served.n_at_once());
    for _ in 0..5 {
        assert_eq!(served.range(Some(&owner)).status, 206);
    }
    assert_eq!((n_reads(), served.n_at_once()), (before + 5, n_at_once));
    declare(&NewDeclaration { visibility: Some(Visibility::Private), ..NewDeclaration::default() });
    assert_eq!((served.range(None).status, served.range(Some(&stranger)).status), (404, 404));
}

#[test]
fn ranges_at_once_cost_what_others_do() {
    let limits = Limits { cost_per_second: 1, cost_burst: 100, ..Limits::default() };
    let served = Served::new(Visibility::Public, limits);
    let token = served.site.token("ada", &["read"]);
    let is_at_once = served.warm(Some(&token));
    let answers: Vec<Answer> = (0..110).map(|_| served.range(Some(&token))).collect();
    let n_answered = answers.iter().take_while(|it| it.status == 206).count();
    assert!((90..=100).contains(&n_answered), "{n_answered}");
    let refused = &answers[n_answered];
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate"));
    assert!(!is_at_once || served.n_at_once() >= n_answered as u64);
}

/// What is longer, whole, known or asked of by its head is answered as ever.
#[test]
fn only_short_ranges_are_answered_at_once() {
    let served = Served::new(Visibility::Public, roomy());
    served.warm(None);
    let ask = |method: Method, headers: &[(&str, &str)]| {
        let add = |it: reqwest::RequestBuilder| {
            headers.iter().fold(it, |it, (name, value)| it.header(*name, *value))
        };
        served.site.ask(method, &served.path, None, add)
    };
    let etag = format!("\"{}\"", B3::of(&served.whole).hex());
    let before = served.n_at_once();
    assert!(ask(Method::GET, &[]).body == served.whole);
    assert_eq!(ask(Method::HEAD, &[("range", "bytes=0-5")]).status, 200);
    assert_eq!(ask(Method::GET, &[("range", "bytes=0-5"), ("if-none-match", &etag)]).status, 304);
    assert_eq!(ask(Method::GET, &[("range", "bytes=99999999999-")]).status, 416);
    assert!(ask(Method::GET, &[("range", "bytes=0-5"), ("if-range", "\"x\"")]).body == served.whole);
    assert_eq!(served.n_at_once(), before);
}
