use std::{
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use nodedata_core::{Error, ErrorKind, Progress, Result};
use nodedata_registry::{
    BumpRequest, DatasetName, DatasetState, Facts, PushOptions, PushReport, Remote, clock::fresh_id, push,
};
use nodedata_schema::Schema;

use crate::registry::Registry;

/// First and longest wait between two tries.
const WAITS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(30)];
/// How often somebody who wants to stop is listened to meanwhile.
const LISTEN: Duration = Duration::from_millis(50);

/// What becomes of what is published already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UploadMode {
    /// It stays, and what is uploaded comes to it: shard by shard, or a converted dataset that holds all of it.
    #[default]
    Add,
    /// What is uploaded takes its place.
    Replace,
}

/// What is uploaded, and how.
#[derive(Debug, Clone)]
pub struct UploadOptions {
    /// Where to.
    pub dataset: DatasetName,
    /// Shards, folders of shards, or one converted dataset.
    pub files: Vec<PathBuf>,
    /// Declared schema of plain shards.
    pub schema: Option<Schema>,
    /// A `sample_index.json` of plain shards.
    pub sample_index: Option<PathBuf>,
    /// What becomes of what is published already.
    pub mode: UploadMode,
    /// Which number the revision gets.
    pub bump: BumpRequest,
    /// What is said of the dataset beside what was said before.
    pub facts: Facts,
    /// How long a registry that does not answer is asked again, beside what each request tries.
    pub retry_for: Duration,
}

impl UploadOptions {
    /// Adds the files, the number found by itself; a registry that does not answer is asked for ten minutes.
    pub fn new(dataset: DatasetName, files: Vec<PathBuf>) -> Self {
        Self {
            dataset,
            files,
            schema: None,
            sample_index: None,
            mode: UploadMode::Add,
            bump: BumpRequest::Auto,
            facts: Facts::default(),
            retry_for: Duration::from_secs(600),
        }
    }

    /// Whether it is the folder of a converted dataset.
    fn is_converted(&self) -> bool {
        matches!(self.files.as_slice(), [folder] if folder.join("manifest.json").is_file())
    }
}

/// Uploads files, and publishes what the dataset holds then as one revision. Nothing is published before all of it is
/// there; what was sent before an interruption is not sent again.
///
/// # Errors
/// `Config` where files are to be added and nothing is named, or would take away what is published; otherwise as
/// [`push`].
pub fn upload(registry: &Registry, options: &UploadOptions, progress: &dyn Progress) -> Result<PushReport> {
    if options.files.is_empty() {
        return Err(Error::new(ErrorKind::Config, "there is nothing to upload")
            .with_hint("name shards, folders of shards, or the folder of a converted dataset"));
    }
    let adds = options.mode == UploadMode::Add;
    let pushed = PushOptions {
        append: adds && !options.is_converted(),
        schema: options.schema.clone(),
        sample_index: options.sample_index.clone(),
        bump: options.bump.clone(),
        facts: options.facts.clone(),
        cache: registry.cache.clone(),
        // The same for every try, so that one whose answer was lost is found.
        op_id: Some(fresh_id()),
        ..PushOptions::new(options.dataset.clone(), options.files.clone(), &registry.author)
    };
    let once = || {
        if adds && options.is_converted() {
            check_nothing_goes(registry, &pushed, progress)?;
        }
        push(&registry.remote, &pushed, progress)
    };
    again_while_unanswered(options.retry_for, progress, once)
}

/// A converted dataset is published as it is: it adds to what is there only if all of that is in it.
fn check_nothing_goes(registry: &Registry, pushed: &PushOptions, progress: &dyn Progress) -> Result<()> {
    if !has_revision(&*registry.remote, &pushed.dataset)? {
        return Ok(());
    }
    // What it counts is asked for, not which number it would get.
    let plan = PushOptions { dry_run: true, bump: BumpRequest::Auto, ..pushed.clone() };
    let proof = push(&registry.remote, &plan, &Unwarned(progress))?.bump.proof;
    if (proof.removed, proof.changed) == (0, 0) {
        return Ok(());
    }
    let message = format!(
        "the converted dataset lacks {} published episodes and holds {} others changed, so that it does not add to them",
        proof.removed, proof.changed
    );
    Err(Error::new(ErrorKind::Config, message).with_hint(
        "replace what is published (`mode=\"replace\"`), or convert all recordings together: what is finished is used again",
    ))
}

/// What a plan warns of, the push that follows says.
struct Unwarned<'a>(&'a dyn Progress);

impl Progress for Unwarned<'_> {
    fn hashed(&self, n_bytes: u64) {
        self.0.hashed(n_bytes);
    }

    fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }
}

fn has_revision(remote: &dyn Remote, dataset: &DatasetName) -> Result<bool> {
    Ok(DatasetState::load(remote, dataset)?.is_some_and(|it| it.head().is_some()))
}

/// Tries again what failed because nobody answered, until `patience` is over. A file that is not there comes from no waiting.
fn again_while_unanswered<T>(
    patience: Duration,
    progress: &dyn Progress,
    mut once: impl FnMut() -> Result<T>,
) -> Result<T> {
    let since = Instant::now();
    let [mut wait, longest] = WAITS;
    loop {
        match once() {
            Err(err)
                if err.kind() == ErrorKind::Io
                    && !is_of_a_file(&err)
                    && since.elapsed() + wait <= patience =>
            {
                progress.warned(&format!("{}; tried again in {wait:?}", err.chain()));
                let begun = Instant::now();
                while begun.elapsed() < wait {
                    progress.go_on()?;
                    std::thread::sleep(LISTEN.min(wait));
                }
                wait = (wait * 2).min(longest);
            }
            other => return other,
        }
    }
}

/// Whether a file of this machine is not there, or may not be read: whoever does not answer says something else.
fn is_of_a_file(err: &Error) -> bool {
    let mut source = std::error::Error::source(err);
    while let Some(cause) = source {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(
                io::ErrorKind::NotFound
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::IsADirectory
                    | io::ErrorKind::NotADirectory
            )
        ) {
            return true;
        }
        source = cause.source();
    }
    false
}

#[cfg(test)]
mod tests;
