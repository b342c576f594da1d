//! Ranges of a shard over HTTP: from `node-data serve`, which checks and counts them, and from nginx, which sends the file.

use std::{
    fs,
    io::{BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{ACCOUNT, push_command, served::Served, shards::Shards};
use crate::{
    bench::{
        measure::{self, even_ground, median},
        noise::Noise,
        path_text, reference, remove,
    },
    workspace::{self, Result},
};

/// As `--only` knows it.
pub(super) const NAME: &str = "push-ranges";

pub(super) const N_CONNECTIONS: u64 = 8;
/// Of each connection.
const N_REQUESTS: u64 = 2000;
pub(super) const RANGE_BYTES: u64 = 64 << 10;
/// How long nginx may take to listen.
const READY: Duration = Duration::from_secs(10);

/// What was found: medians of ranges a second.
#[derive(Debug, Serialize)]
pub(super) struct Ranges {
    pub(super) per_s: f64,
    pub(super) nginx_per_s: Option<f64>,
    /// Median of ours over nginx's in the same turn; above 1, ours were more.
    pub(super) to_nginx: Option<f64>,
}

/// Serves a shard with both in turns; and says what was skipped.
///
/// # Errors
/// When a server does not start, or gives other bytes than the file holds.
pub(super) fn run(shards: &Shards, outputs: &Path, n_runs: usize) -> Result<(Ranges, Option<String>)> {
    let work = outputs.join("ranges");
    remove(&work)?;
    let store = work.join("store");
    fs::create_dir_all(&store).map_err(|err| format!("cannot make {}: {err}", store.display()))?;
    let file = reference::files_of(&shards.path)?.into_iter().next().ok_or("there are no shards")?;
    let content = fs::read(&file).map_err(|err| format!("cannot read {}: {err}", file.display()))?;
    let program = workspace::node_data("release");
    let served = Served::start(&program, &work.join("server"), &store)?;
    let cache = path_text(&work.join("cache"));
    let variables =
        [("XDG_CACHE_HOME", cache.as_str()), ("NODEDATA_TOKEN", &served.token), ("NO_PROXY", "127.0.0.1")];
    measure::in_own_process_with(&push_command(&program, &served.url, shards), &variables)?;
    let ours = Asked {
        address: address_of(&served.url)?,
        path: format!("/v1/d/{ACCOUNT}/shards/blobs/{}", blake3::hash(&content).to_hex()),
        token: Some(served.token.clone()),
        content: &content,
    };
    let nginx = match workspace::works(Command::new("nginx").arg("-v")) {
        true => Some(Nginx::start(&work, &file)?),
        false => None,
    };
    let theirs = nginx.as_ref().map(|it| Asked {
        address: it.address,
        path: format!("/{}", file.file_name().unwrap_or_default().to_string_lossy()),
        token: None,
        content: &content,
    });
    even_ground(outputs, 0)?;
    let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
    for run in 0..n_runs {
        eprintln!("{NAME}: run {} of {n_runs}", run + 1);
        of_ours.push(ours.ranges_per_s()?);
        if let Some(theirs) = &theirs {
            of_theirs.push(theirs.ranges_per_s()?);
        }
    }
    drop((nginx, served));
    remove(&work)?;
    let ratios: Vec<f64> = of_ours.iter().zip(&of_theirs).map(|(ours, theirs)| ours / theirs).collect();
    let remark = theirs
        .is_none()
        .then(|| "There is no `nginx` on the PATH: ranges were not held against it.".to_owned());
    let ranges = Ranges {
        per_s: median(of_ours),
        nginx_per_s: theirs.as_ref().map(|_| median(of_theirs)),
        to_nginx: theirs.as_ref().map(|_| median(ratios)),
    };
    Ok((ranges, remark))
}

/// The address in `http://ADDRESS/`.
fn address_of(url: &str) -> Result<SocketAddr> {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    address.parse().map_err(|err| format!("{url} is no address: {err}"))
}

/// A file that a server has.
struct Asked<'a> {
    address: SocketAddr,
    path: String,
    token: Option<String>,
    /// What the file holds.
    content: &'a [u8],
}

impl Asked<'_> {
    /// Asks for ranges over all connections at once, each the same ones in every run.
    fn ranges_per_s(&self) -> Result<f64> {
        let started = Instant::now();
        std::thread::scope(|scope| {
            let all: Vec<_> =
                (0..N_CONNECTIONS).map(|seed| scope.spawn(move || self.one_connection(seed))).collect();
            all.into_iter().try_for_each(|it| it.join().map_err(|_| "a connection panicked".to_owned())?)
        })?;
        Ok((N_CONNECTIONS * N_REQUESTS) as f64 / started.elapsed().as_secs_f64())
    }

    fn one_connection(&self, seed: u64) -> Result<()> {
        let failed = |err: std::io::Error| format!("cannot ask {}: {err}", self.address);
        let stream = TcpStream::connect(self.address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let mut answers = BufReader::with_capacity(1 << 17, stream.try_clone().map_err(failed)?);
        let mut questions = stream;
        let mut noise = Noise::new(seed + 1);
        let last = (self.content.len() as u64).checked_sub(RANGE_BYTES).ok_or("the shard is too short")?;
        let token = self.token.as_ref().map(|it| format!("Authorization: Bearer {it}\r\n"));
        let mut body = vec![0; RANGE_BYTES as usize];
        for _ in 0..N_REQUESTS {
            let start = noise.next() % (last + 1);
            let question = format!(
                "GET {} HTTP/1.1\r\nHost: {}\r\n{}Range: bytes={start}-{}\r\n\r\n",
                self.path,
                self.address,
                token.as_deref().unwrap_or_default(),
                start + RANGE_BYTES - 1
            );
            questions.write_all(question.as_bytes()).map_err(failed)?;
            read_head(&mut answers)?;
            answers.read_exact(&mut body).map_err(failed)?;
            if body != self.content[start as usize..][..RANGE_BYTES as usize] {
                return Err(format!("{} gave other bytes than the file holds", self.address));
            }
        }
        Ok(())
    }
}

/// Reads the head of an answer that must be one range, of the length that was asked for.
fn read_head(answer: &mut impl std::io::BufRead) -> Result<()> {
    let (mut line, mut is_range, mut has_length) = (String::new(), false, false);
    loop {
        line.clear();
        let n_bytes = answer.read_line(&mut line).map_err(|err| format!("cannot read an answer: {err}"))?;
        let told = line.trim_end().to_ascii_lowercase();
        is_range |= told.starts_with("http/1.1 206");
        has_length |= told == format!("content-length: {RANGE_BYTES}");
        if n_bytes == 0 || told.is_empty() {
            break;
        }
        if told.starts_with("http/1.1") && !is_range {
            return Err(format!("a range was answered with {told}"));
        }
    }
    match is_range && has_length {
        true => Ok(()),
        false => Err("an answer is no range of the length that was asked for".to_owned()),
    }
}

/// nginx on a free port of this machine; ended when dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
}

impl Nginx {
    /// Starts it over the folder of a file, with what a server of static files is usually told: `sendfile`, and no log.
    ///
    /// # Errors
    /// When it does not start.
    fn start(work: &Path, file: &Path) -> Result<Self> {
        let folder = work.join("nginx");
        fs::create_dir_all(&folder).map_err(|err| format!("cannot make {}: {err}", folder.display()))?;
        let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let address = free.map_err(|err| format!("there is no free port: {err}"))?;
        let config = folder.join("nginx.conf");
        fs::write(&config, config_of(&folder, file.parent().unwrap_or(file), address))
            .map_err(|err| format!("cannot write {}: {err}", config.display()))?;
        let child = Command::new("nginx")
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|err| format!("cannot start nginx: {err}"))?;
        let mut nginx = Self { child, address };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            let is_over = nginx.child.try_wait().is_ok_and(|it| it.is_some());
            if is_over || started.elapsed() > READY {
                let said = fs::read_to_string(folder.join("error.log")).unwrap_or_default();
                return Err(format!("nginx does not listen\n{}", said.trim_end()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end when the master is asked to; killed, it would leave them behind.
        let pid = self.child.id().to_string();
        drop(workspace::stdout_of(Command::new("kill").args(["-TERM", &pid])));
        drop(self.child.wait());
    }
}

/// Nothing of it lies outside of the folder.
fn config_of(folder: &Path, root: &Path, address: SocketAddr) -> String {
    let at = |name: &str| PathBuf::from(folder).join(name).display().to_string();
    let root = root.display();
    let (pid, log) = (at("nginx.pid"), at("error.log"));
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|it| format!("  {it}_temp_path \"{}\";\n", at(it)))
        .concat();
    format!(
        "daemon off;\nuser root;\nworker_processes auto;\npid \"{pid}\";\nerror_log \"{log}\";\nevents {{}}\n\
         http {{\n{temporary}  access_log off;\n  sendfile on;\n  tcp_nodelay on;\n  keepalive_requests 1000000;\n\
         \u{20} server {{ listen {address}; root \"{root}\"; }}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_range_of_the_right_length_is_taken() {
        let read = |head: &str| read_head(&mut head.as_bytes());
        read("HTTP/1.1 206 Partial Content\r\nContent-Length: 65536\r\nX: y\r\n\r\n").unwrap();
        for (head, told) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n", "answered with http/1.1 200 ok"),
            ("HTTP/1.1 206 Partial Content\r\nContent-Length: 65535\r\n\r\n", "no range of the length"),
            ("HTTP/1.1 206 Partial Content\r\n", "no range of the length"),
            ("", "no range of the length"),
        ] {
            let err = read(head).unwrap_err();
            assert!(err.contains(told), "{head}: {err}");
        }
    }

    #[test]
    fn addresses_are_those_that_servers_print() {
        assert_eq!(address_of("http://127.0.0.1:8080").unwrap().port(), 8080);
        assert_eq!(address_of("http://127.0.0.1:80/").unwrap().port(), 80);
        assert!(address_of("http://somewhere/").is_err());
    }
}
