//! A PostgreSQL server on this machine, for tests of what speaks to one: its data in a folder that goes with it, reached over a
//! socket in that folder.

use std::{
    env,
    ffi::OsString,
    fs,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

use tempfile::TempDir;

use crate::skipped;

/// Names the folder of `initdb` and `postgres`.
const PROGRAMS: &str = "NODEDATA_TEST_POSTGRES";
/// Where Debian has them, one folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Who it runs as where tests run as root, whom it refuses: Debian's user, or else nobody.
const USER: &str = "postgres";
const NOBODY: (u32, u32) = (65_534, 65_534);
/// Its one role.
const ROLE: &str = "nodedata";
/// How often it is asked whether it is ready, and how long in between.
const TRIES: u32 = 600;
const WAIT: Duration = Duration::from_millis(50);

/// A server that runs until this is dropped.
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    /// Whom it runs as, where that is not who runs the test.
    user: Option<(u32, u32)>,
    port: u16,
    more: Vec<String>,
    process: Option<Child>,
}

impl Postgres {
    /// Starts one that lets everybody in. `None` where it is not installed: then the test that runs in this thread says that it is
    /// left out, and the caller returns.
    pub fn start() -> Option<Self> {
        let it = Self::made(&["--auth=trust".into()])?;
        Some(it.running())
    }

    /// The same for those who say a password.
    pub fn with_password(password: &str) -> Option<Self> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), password).expect("a file can be written");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).expect("it is ours");
        let mut pwfile = OsString::from("--pwfile=");
        pwfile.push(file.path());
        let it = Self::made(&["--auth=scram-sha-256".into(), pwfile])?;
        Some(it.running())
    }

    /// The same for everybody who speaks TLS to a port of this machine.
    pub fn with_tls(cert_pem: &str, key_pem: &str) -> Option<Self> {
        let mut it = Self::made(&["--auth=trust".into()])?;
        for (name, pem) in [("server.crt", cert_pem), ("server.key", key_pem)] {
            let path = it.data().join(name);
            fs::write(&path, pem).expect("the folder is there");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
            it.give(&path);
        }
        let rules = "hostssl all all 127.0.0.1/32 trust\nlocal all all trust\n";
        fs::write(it.data().join("pg_hba.conf"), rules).expect("the folder is there");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        it.port = free.expect("this machine has a free port").port();
        it.more = ["ssl=on", "listen_addresses=127.0.0.1"].map(str::to_owned).to_vec();
        Some(it.running())
    }

    /// Makes the folder of data.
    fn made(flags: &[OsString]) -> Option<Self> {
        let Some(programs) = programs() else {
            skipped(
                "no PostgreSQL; install it, or name the folder of its programs in NODEDATA_TEST_POSTGRES",
            );
            return None;
        };
        let folder = TempDir::new().expect("a folder");
        let is_root = fs::metadata(folder.path()).expect("it is there").uid() == 0;
        let user = is_root.then(|| user_of(USER).unwrap_or(NOBODY));
        let it = Self { folder, programs, user, port: 5432, more: Vec::new(), process: None };
        it.give(it.folder.path());
        let mut initdb = it.command("initdb");
        initdb.args(["--no-sync", "--encoding=UTF8", "--locale=C", "--username", ROLE]);
        let made = initdb.args(flags).arg("--pgdata").arg(it.data()).output().expect("initdb starts");
        assert!(made.status.success(), "initdb: {}", told(&made));
        Some(it)
    }

    fn running(mut self) -> Self {
        self.start_again();
        self
    }

    /// Starts it once more, over what is in its folder.
    ///
    /// # Panics
    /// When it does not run within half a minute.
    pub fn start_again(&mut self) {
        for _ in 0..TRIES {
            if let Some(process) = &mut self.process
                && process.try_wait().expect("it is a child of ours").is_none()
            {
                if self.is_ready() {
                    return;
                }
            } else {
                // What it left when it was killed may take a moment to go.
                self.process = Some(self.spawned());
            }
            sleep(WAIT);
        }
        panic!("{}", fs::read_to_string(self.log()).unwrap_or_default());
    }

    fn spawned(&self) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log()).expect("a log");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string(), "-k"]).arg(self.folder.path());
        let settings = ["listen_addresses=", "fsync=off", "shared_buffers=16MB", "max_connections=40"];
        for setting in settings.into_iter().chain(self.more.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("postgres starts")
    }

    /// Kills it, as a machine that fails does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }

    fn is_ready(&self) -> bool {
        let mut command = self.command("pg_isready");
        command.args(["-q", "-d", "postgres", "-p", &self.port.to_string(), "-h"]).arg(self.folder.path());
        command.status().is_ok_and(|it| it.success())
    }

    /// Where it is, without a password, for the database that every server has.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Where a database of that name is.
    pub fn url_of(&self, name: &str) -> String {
        format!("postgres:///{name}?host={}&user={ROLE}", self.folder.path().display())
    }

    /// Where it is over TLS, for a name that this machine has.
    pub fn url_over_tls(&self) -> String {
        format!("postgres://{ROLE}@localhost:{}/postgres", self.port)
    }

    /// Runs statements, and says what they answer.
    ///
    /// # Panics
    /// When one fails.
    pub fn sql(&self, text: &str) -> String {
        let mut command = self.command("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-U", ROLE]);
        command.args(["-p", &self.port.to_string(), "-c", text, "-h"]).arg(self.folder.path());
        let ran = command.output().expect("psql starts");
        assert!(ran.status.success(), "{text}: {}", told(&ran));
        String::from_utf8_lossy(&ran.stdout).trim().to_owned()
    }

    /// Copies the database to another one of that name, as of a backup that is put in, with Postgres' own programs.
    ///
    /// # Panics
    /// When they fail.
    pub fn dumped(&self, name: &str) {
        let file = self.folder.path().join(format!("{name}.dump"));
        let port = self.port.to_string();
        let run = |program: &str, args: &[&str]| {
            let mut command = self.command(program);
            command.args(["-U", ROLE, "-p", &port, "-h"]).arg(self.folder.path()).args(args);
            let ran = command.output().expect("a program of Postgres starts");
            assert!(ran.status.success(), "{program}: {}", told(&ran));
        };
        let file = file.to_string_lossy().into_owned();
        run("pg_dump", &["-d", "postgres", "-F", "custom", "-f", &file]);
        run("createdb", &[name]);
        run("pg_restore", &["-d", name, &file]);
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        // Nothing of the surroundings decides where it goes, and whom it believes.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path());
        command
    }

    fn give(&self, path: &Path) {
        if let Some((uid, gid)) = self.user {
            chown(path, Some(uid), Some(gid)).expect("root may give away what it has");
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

fn programs() -> Option<PathBuf> {
    let has_them = |it: &PathBuf| it.join("initdb").is_file() && it.join("postgres").is_file();
    if let Some(named) = env::var_os(PROGRAMS) {
        return Some(PathBuf::from(named)).filter(has_them);
    }
    let versions = fs::read_dir(DEBIAN).ok().into_iter().flatten().flatten();
    let numbered = versions.filter_map(|it| Some((it.file_name().to_str()?.parse::<u32>().ok()?, it.path())));
    let debian = numbered.filter(|(_, it)| has_them(&it.join("bin"))).max().map(|(_, it)| it.join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    debian.or_else(|| env::split_paths(&path).find(|it| has_them(it)))
}

/// The numbers of a user of this machine, and of its group.
fn user_of(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let fields = users.lines().map(|it| it.split(':').collect::<Vec<_>>());
    let mut found = fields.filter(|it| it.first() == Some(&name));
    let user = found.next()?;
    Some((user.get(2)?.parse().ok()?, user.get(3)?.parse().ok()?))
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
