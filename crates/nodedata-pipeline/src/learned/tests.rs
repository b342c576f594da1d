use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use nodedata_core::{
    Detection, EpisodeInfo, EpisodeStream, Format, Formats, InputFile, Listing, ReadOptions, Silent, Source,
    SourcePlan, StreamId, StreamKind, StreamSchema,
};

use super::*;
use crate::{ConvertOptions, Share};

/// A format whose types only all of its bytes tell. It counts how often they were read. Notes may lie beside its files.
struct Lines(AtomicUsize);

struct Opened(SourcePlan);

fn is_note(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "note")
}

impl Format for Lines {
    fn name(&self) -> &'static str {
        "lines"
    }

    fn about(&self) -> &'static str {
        "lines of text"
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let is_named = |it: &Path| it.extension().is_some_and(|it| it == "lines");
        let mut found = Detection::by_magic(listing, "lines", is_named, |it| it.starts_with(b"line"));
        found.claims.extend(listing.paths().filter(|it| is_note(it)).map(Path::to_owned));
        found.claims.sort_unstable();
        found
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let (beside, mut paths): (Vec<PathBuf>, Vec<PathBuf>) =
            files.list()?.into_iter().partition(|it| is_note(it));
        let path = paths.swap_remove(0);
        let file = files.open(&path)?;
        let learned = match &options.learned {
            Some(learned) => learned.clone(),
            None => {
                self.0.fetch_add(1, Ordering::Relaxed);
                file.read_at(0..file.n_bytes())?.len().to_string()
            }
        };
        let steps = StreamSchema {
            id: StreamId(0),
            name: nodedata_core::STEPS.into(),
            kind: StreamKind::Samples,
            features: Vec::new(),
            metadata: [("learned".to_owned(), learned.clone())].into(),
        };
        Ok(Box::new(Opened(SourcePlan {
            streams: vec![steps],
            inputs: vec![InputFile { path, n_bytes: file.n_bytes() }],
            episodes: vec![EpisodeInfo { key: "lines".to_owned(), ..EpisodeInfo::default() }],
            learned: Some(learned),
            beside,
            ..SourcePlan::default()
        })))
    }
}

impl Source for Opened {
    fn plan(&self) -> &SourcePlan {
        &self.0
    }

    fn read(&self, _: usize, _: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        unreachable!("there are no partitions")
    }
}

/// The format, alone; tests share it, each with files of its own.
fn lines() -> (&'static Lines, Formats) {
    let lines: &'static Lines = Box::leak(Box::new(Lines(AtomicUsize::new(0))));
    (lines, Formats::default().with(lines))
}

#[test]
fn no_run_learns_again_what_one_before_it_learned() {
    let (lines, formats) = lines();
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("a.lines");
    std::fs::write(&source, "line 1\n").unwrap();
    let mut options = ConvertOptions::new(source.display().to_string(), work.path().join("out"));
    let convert = |options: &ConvertOptions| {
        let converted = crate::convert(&formats, options, &Silent).unwrap();
        (converted.manifest.streams[0].metadata["learned"].clone(), lines.0.load(Ordering::Relaxed))
    };
    assert_eq!(convert(&options), ("7".to_owned(), 1));
    assert_eq!(convert(&options), ("7".to_owned(), 1), "nothing is to be done, and nothing to be read");
    options.overwrite = true;
    options.shard_bytes = 1 << 20;
    assert_eq!(convert(&options), ("7".to_owned(), 1), "made otherwise, of the same files");
    options.open.topics = Some(vec!["*".to_owned()]);
    assert_eq!(convert(&options), ("7".to_owned(), 2), "opened in another way");
    std::fs::write(&source, "line 1\nline 2\n").unwrap();
    assert_eq!(convert(&options), ("14".to_owned(), 3), "another file");
}

/// Files beside the inputs are no others, unless they say something else.
#[test]
fn files_beside_the_inputs_are_recognised_as_well() {
    let (lines, formats) = lines();
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("set");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a.lines"), "line 1\n").unwrap();
    std::fs::write(folder.join("0.note"), "first").unwrap();
    let mut options = ConvertOptions::new(folder.display().to_string(), work.path().join("out"));
    let convert = |options: &ConvertOptions| {
        crate::convert(&formats, options, &Silent).unwrap();
        lines.0.load(Ordering::Relaxed)
    };
    assert_eq!(convert(&options), 1);
    options.overwrite = true;
    options.shard_bytes = 1 << 20;
    assert_eq!(convert(&options), 1, "the same files");
    // Elsewhere it has another stamp, and is recognised by its bytes.
    std::fs::write(folder.join("0.note"), "first").unwrap();
    options.shard_bytes = 2 << 20;
    assert_eq!(convert(&options), 1, "the same bytes");
    std::fs::write(folder.join("0.note"), "other").unwrap();
    assert_eq!(convert(&options), 2, "another note");
    std::fs::remove_file(folder.join("0.note")).unwrap();
    options.shard_bytes = 3 << 20;
    assert_eq!(convert(&options), 3, "none");
}

#[test]
fn no_worker_learns_what_the_plan_says() {
    let (lines, formats) = lines();
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("a.lines");
    std::fs::write(&source, "line 1\n").unwrap();
    let options = ConvertOptions::new(source.display().to_string(), work.path().join("out"));
    let plan = crate::plan(&formats, &options, serde_json::Value::Null).unwrap();
    // Elsewhere the file has another stamp, and is recognised by its bytes.
    std::fs::write(&source, "line 1\n").unwrap();
    for index in 0..2 {
        crate::work(&formats, &options, &plan, Share { index, of: 2 }, &Silent).unwrap();
    }
    crate::finish(&formats, &options, &plan, &Silent).unwrap();
    assert_eq!(lines.0.load(Ordering::Relaxed), 1);
}

/// What two files told is nothing that one of them tells, though the other still lies beside it.
#[test]
fn nothing_is_taken_over_of_more_files() {
    let (_, formats) = lines();
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("a.lines");
    std::fs::write(&source, "line 1\n").unwrap();
    std::fs::write(work.path().join("b.lines"), "line 2\n").unwrap();
    let options = ConvertOptions::new(source.display().to_string(), work.path().join("out"));
    let plan = crate::plan(&formats, &options, serde_json::Value::Null).unwrap();
    let mut known = plan.learned.unwrap();
    let files = nodedata_io::LocalFiles::file(&source);
    let recall = |known: &Learned| {
        let open = serde_json::from_value(known.options.clone()).unwrap();
        known.recall("lines", &open, &files, &["a.lines".into()]).unwrap()
    };
    assert_eq!(recall(&known).as_deref(), Some("7"));
    let more = files.open(Path::new("b.lines")).unwrap();
    let b3 = hash_of(&files, Path::new("b.lines")).unwrap();
    known.inputs.push(PlannedInput { path: "b.lines".to_owned(), bytes: more.n_bytes(), b3, stamp: None });
    assert_eq!(recall(&known), None);
}
