//! A command opens its source once, whatever it does with it.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use nodedata_core::{Detection, Files, Format, Formats, Listing, OpenOptions, Result, Silent, Source};
use nodedata_normalize::normalized;
use nodedata_testkit::toy::TOY;
use serde_json::Value;

use super::{Folder, RECORDING, unbounded};
use crate::{
    ConvertOptions, Depth, Parsed, Share, StepFlags, convert, execute, finish, inspect, outline,
    parse_pipeline, plan, plan_prepared, prepare, work,
};

/// A format that counts how often it is opened, but for the second look at messages as bytes that a dry run takes: it
/// reads summaries alone.
struct Counting(AtomicUsize);

impl Format for Counting {
    fn name(&self) -> &'static str {
        TOY.name()
    }

    fn about(&self) -> &'static str {
        TOY.about()
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        TOY.detect(listing)
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        if options.undecoded != ["*"] {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        TOY.open(files, options)
    }
}

/// The recording as a table of steps, which nobody has to look at as bytes.
struct Table(AtomicUsize);

impl Format for Table {
    fn name(&self) -> &'static str {
        TOY.name()
    }

    fn about(&self) -> &'static str {
        TOY.about()
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        TOY.detect(listing)
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(normalized(TOY.open(files, options)?, &unbounded())?)
    }
}

/// Also where there is no index that would say enough.
#[test]
fn a_look_at_a_table_opens_it_once() {
    let folder = Folder::new();
    RECORDING.build("lab").write(&folder.path("src"));
    let source = [folder.path("src").display().to_string()];
    for depth in [Depth::Enough, Depth::Full] {
        let table: &'static Table = Box::leak(Box::new(Table(AtomicUsize::new(0))));
        let formats = Formats::default().with(table);
        let found = inspect(&formats, &source, None, &OpenOptions::default(), depth, &Silent).unwrap();
        assert_eq!(
            (found.streams[0].name.as_str(), table.0.load(Ordering::Relaxed)),
            ("steps", 1),
            "{depth:?}"
        );
        assert!(0 < found.streams[0].count);
    }
}

/// Runs one command with formats that are its own, and counts.
#[track_caller]
fn opens_once<T>(command: impl FnOnce(&Formats) -> T) -> T {
    let counting: &'static Counting = Box::leak(Box::new(Counting(AtomicUsize::new(0))));
    let done = command(&Formats::default().with(counting));
    assert_eq!(counting.0.load(Ordering::Relaxed), 1, "times opened");
    done
}

const STEPS: &str = "steps: {clock: {rate_hz: 50}}\nfields: {turn: /imu.turn, level: /state.level}\n";
const GATE: &str = "quality: {duplicate_episode: fail}\n";

fn pipeline(folder: &Folder, text: &str) -> Parsed {
    let path = folder.path("p.yaml");
    let text = format!("version: 1\nsource: {}\n{text}", folder.path("src").display());
    fs::write(&path, &text).unwrap();
    parse_pipeline(&text, Path::new(&path), &[], &|_| None).unwrap_or_else(|it| panic!("{it:?}"))
}

#[test]
fn a_command_opens_its_source_once() {
    let folder = Folder::new();
    RECORDING.build("lab").write(&folder.path("src"));
    let again = || drop(fs::remove_dir_all(folder.path("out")));
    let topics = folder.options(None);
    opens_once(|it| convert(it, &topics, &Silent).unwrap());
    // Nothing is to be done; then everything again in its place.
    assert!(opens_once(|it| convert(it, &topics, &Silent).unwrap()).unchanged);
    let steps = ConvertOptions { overwrite: true, ..folder.options(Some(&unbounded())) };
    opens_once(|it| convert(it, &steps, &Silent).unwrap());
    let step_flags = StepFlags { rate: Some("50".to_owned()), ..StepFlags::default() };
    let by_flags = ConvertOptions { overwrite: true, step_flags, ..topics.clone() };
    opens_once(|it| convert(it, &by_flags, &Silent).unwrap());
    again();

    let out = folder.path("out");
    for text in ["", STEPS, &format!("{STEPS}{GATE}")] {
        let parsed = pipeline(&folder, text);
        let outlined =
            opens_once(|it| outline(it, &parsed, |it| it, &out).unwrap_or_else(|it| panic!("{it:?}")));
        assert!(!outlined.streams.is_empty() && !out.exists());
        let executed = opens_once(|it| {
            execute(it, &parsed, |it| it, &out, &Silent).unwrap_or_else(|it| panic!("{it:?}"))
        });
        assert_eq!(executed.quality.is_some(), text.contains("quality"));
        again();
        let of_pipeline = opens_once(|it| {
            let prepared = prepare(it, &parsed, |it| it, &out).unwrap_or_else(|it| panic!("{it:?}"));
            plan_prepared(&prepared, Value::Null).unwrap()
        });
        assert!(!of_pipeline.units.is_empty());
    }

    for options in [&topics, &ConvertOptions { overwrite: false, ..by_flags }] {
        let planned = opens_once(|it| plan(it, options, Value::Null).unwrap());
        let all = Share { index: 0, of: 1 };
        let worked = opens_once(|it| work(it, options, &planned, all, &Silent).unwrap());
        assert_eq!(worked.made, planned.units.len());
        let converted = opens_once(|it| finish(it, options, &planned, &Silent).unwrap());
        assert_eq!(converted.report.units_reused as usize, planned.units.len());
        again();
    }
}
