//! The kit itself: a small sound format passes, and each promise it breaks is noticed.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, UInt32Array};
use bytes::Bytes;
use nodedata_core::{
    Batch, Confidence, DType, Detection, EpisodeInfo, EpisodeStream, Error, ErrorKind, Feature, Files,
    Finding, FindingKind, Format, InputFile, InputRange, Listing, Locus, Loss, OpenOptions, Partition,
    ReadOptions, Result, RowSpan, Source, SourcePlan, StreamId, StreamKind, StreamSchema,
};

use crate::source::{Case, Damage, conformance};

/// What the format does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    None,
    GoesByNames,
    ForgetsToClaim,
    ClaimsEverything,
    LosesTheLastRow,
    ForgetsALoss,
    CountsTooMuch,
    SpansTooShort,
    EmptyBatch,
    RowsAfterTheEnd,
    DropsRowsOfSmallPartitions,
    IgnoresTopics,
    IgnoresTimes,
    IncludesTheEndOfTimes,
    SavesNothing,
    PanicsOnDamage,
    OpensInSpiteOfDamage,
    BatchesWithoutBound,
}

const MAGIC: &[u8] = b"TOY!";
const RECORD: usize = 1024;

/// Four bytes of magic, then records of 1 KiB: topic (`a` or `b`), time, and a payload that
/// repeats the time.
struct Toy(Lie);

fn toy_file(n_records: u8) -> Bytes {
    let mut bytes = MAGIC.to_vec();
    for time in 0..n_records {
        bytes.push(b'a' + time % 2);
        bytes.extend([time; RECORD - 1]);
    }
    bytes.into()
}

fn case(damage: Damage) -> Case {
    Case { name: "toy".to_owned(), files: vec![(PathBuf::from("log.toy"), toy_file(250))], damage }
}

impl Format for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn about(&self) -> &'static str {
        "records of one size"
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let is_named = |it: &Path| it.extension().is_some_and(|it| it == "toy");
        let begins = |it: &[u8]| self.0 == Lie::ClaimsEverything || it.starts_with(MAGIC);
        let found = Detection::by_magic(listing, "toys", is_named, begins);
        match self.0 {
            Lie::GoesByNames => Detection { confidence: Confidence::Name, ..found },
            Lie::ForgetsToClaim => Detection { claims: Vec::new(), ..found },
            _ => found,
        }
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let path = files.list()?.remove(0);
        let file = files.open(&path)?;
        let bytes = file.read_at(0..file.n_bytes())?;
        let broken = |message: &str| {
            Err(Error::new(ErrorKind::Corrupt, message).at(Locus::path(&path)).with_hint("record it again"))
        };
        if !bytes.starts_with(MAGIC) {
            return broken("no toy");
        }
        let is_whole = (bytes.len() - MAGIC.len()).is_multiple_of(RECORD) && records(&bytes).all(is_sound);
        if !is_whole && !options.salvage && self.0 != Lie::OpensInSpiteOfDamage {
            assert!(self.0 != Lie::PanicsOnDamage, "as asked");
            return broken("cut or damaged");
        }
        Ok(Box::new(ToySource::new(self.0, path, bytes, options)))
    }
}

fn records(bytes: &Bytes) -> impl Iterator<Item = &[u8]> {
    bytes[MAGIC.len()..].chunks_exact(RECORD)
}

fn is_sound(record: &[u8]) -> bool {
    matches!(record[0], b'a' | b'b') && record[1..].iter().all(|it| *it == record[1])
}

struct ToySource {
    lie: Lie,
    bytes: Bytes,
    options: OpenOptions,
    plan: SourcePlan,
}

impl ToySource {
    fn new(lie: Lie, path: PathBuf, bytes: Bytes, options: &OpenOptions) -> Self {
        let mut streams = Vec::new();
        let mut unselected = Vec::new();
        for topic in ["a", "b"] {
            let is_selected = options.topics.as_ref().is_none_or(|it| it.iter().any(|it| it == topic));
            if !is_selected && lie != Lie::IgnoresTopics {
                unselected.push(topic.to_owned());
                continue;
            }
            let column = |name: &str, dtype| Feature::new(name, dtype, vec![]);
            streams.push(StreamSchema {
                id: StreamId(streams.len() as u32),
                name: topic.into(),
                kind: StreamKind::Messages,
                features: vec![
                    column("log_time_ns", DType::Int64),
                    column("publish_time_ns", DType::Int64),
                    column("sequence", DType::UInt32),
                    column("data", DType::Bytes),
                ],
                metadata: [("topic".to_owned(), topic.to_owned())].into(),
            });
        }
        let n_records = (bytes.len() - MAGIC.len()) / RECORD;
        let per_partition = (options.partition_bytes as usize / RECORD).clamp(1, n_records.max(1));
        let starts = (0..n_records).step_by(per_partition);
        let partitions = starts.map(|first| {
            let end = n_records.min(first + per_partition);
            let byte = |record: usize| (MAGIC.len() + record * RECORD) as u64;
            let byte_range = byte(first)..byte(end);
            let decoded_bytes = byte_range.end - byte_range.start;
            let reads = vec![InputRange { input: 0, byte_range }];
            Partition { reads, decoded_bytes, ..Partition::default() }
        });
        let is_cut = !(bytes.len() - MAGIC.len()).is_multiple_of(RECORD);
        let damage = is_cut.then(|| Error::new(ErrorKind::Corrupt, "cut").at(Locus::path(&path)));
        let plan = SourcePlan {
            findings: damage.iter().map(|it| Finding::new(FindingKind::Damage, it, |_| None)).collect(),
            partitions: partitions.collect(),
            inputs: vec![InputFile { path, n_bytes: bytes.len() as u64 }],
            episodes: vec![EpisodeInfo::default()],
            streams,
            unselected,
            ..SourcePlan::default()
        };
        Self { options: options.clone(), lie, bytes, plan }
    }
}

impl Source for ToySource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let byte_range = &self.plan.partitions[partition].reads[0].byte_range;
        let start = byte_range.start as usize;
        let range = start..byte_range.end as usize;
        let lie = self.lie;
        if lie == Lie::DropsRowsOfSmallPartitions && range.len() == RECORD && self.plan.partitions.len() > 9 {
            return Ok(Box::new(ToyRows::default()));
        }
        let mut rows = ToyRows { lie, ..ToyRows::default() };
        let mut pending: BTreeMap<u32, Vec<(usize, &[u8])>> = BTreeMap::new();
        let n_bytes_max = if lie == Lie::BatchesWithoutBound { usize::MAX } else { options.batch_bytes_max };
        for (idx, record) in self.bytes[range].chunks_exact(RECORD).enumerate() {
            let at = start + idx * RECORD;
            if !is_sound(record) || (lie == Lie::SavesNothing && self.options.salvage) {
                rows.damage(at, lie, &self.plan.inputs[0].path);
                continue;
            }
            let topic = char::from(record[0]).to_string();
            let Some(stream) = self.plan.streams.iter().find(|it| *it.name == *topic) else { continue };
            let time = i64::from(record[1]);
            let range = self.options.time_range;
            let is_end = lie == Lie::IncludesTheEndOfTimes && range.end_ns == Some(time);
            if !range.contains(time) && lie != Lie::IgnoresTimes && !is_end {
                continue;
            }
            let pending = pending.entry(stream.id.0).or_default();
            pending.push((at, record));
            rows.count(stream.id);
            if n_bytes_max / RECORD <= pending.len() {
                rows.batch(stream, &std::mem::take(pending));
            }
        }
        for (stream, pending) in pending {
            let n_kept = pending.len() - usize::from(lie == Lie::LosesTheLastRow);
            rows.batch(&self.plan.streams[stream as usize], &pending[..n_kept]);
        }
        rows.batches.reverse();
        Ok(Box::new(rows))
    }
}

struct ToyRows {
    lie: Lie,
    /// Last first.
    batches: Vec<Result<Batch>>,
    n_read: Vec<(StreamId, u64)>,
    ended: usize,
}

impl Default for ToyRows {
    fn default() -> Self {
        Self { lie: Lie::None, batches: vec![], n_read: vec![], ended: 0 }
    }
}

impl ToyRows {
    fn count(&mut self, stream: StreamId) {
        self.n_read.push((stream, if self.lie == Lie::CountsTooMuch { 2 } else { 1 }));
    }

    fn damage(&mut self, at: usize, lie: Lie, path: &Path) {
        let err = Error::new(ErrorKind::Corrupt, "a damaged record");
        let err = err.at(Locus { byte_offset: Some(at as u64), ..Locus::path(path) });
        let loss = Loss { reason: "damaged", uncounted: true, ..Loss::default() };
        self.batches.push(Err(if lie == Lie::ForgetsALoss { err } else { err.with_loss(loss) }));
    }

    fn batch(&mut self, stream: &StreamSchema, records: &[(usize, &[u8])]) {
        if records.is_empty() && self.lie != Lie::EmptyBatch {
            return;
        }
        let times =
            || Arc::new(records.iter().map(|it| i64::from(it.1[1])).collect::<Int64Array>()) as ArrayRef;
        let sequence: UInt32Array = records.iter().map(|_| Some(0)).collect();
        let data: BinaryArray = records.iter().map(|it| Some(&it.1[2..])).collect();
        let fields = stream.arrow();
        let sequence = UInt32Array::new(sequence.values().clone(), None);
        let columns: Vec<ArrayRef> = vec![times(), times(), Arc::new(sequence), Arc::new(data)];
        let short = usize::from(self.lie == Lie::SpansTooShort);
        let spans = records.iter().skip(short).map(|it| RowSpan {
            input: 0,
            n_rows: 1,
            byte_range: it.0 as u64..(it.0 + RECORD) as u64,
            first_record: 0,
        });
        let rows = RecordBatch::try_new(fields, columns).unwrap();
        self.batches.push(Ok(Batch { stream: stream.id, rows, spans: spans.collect(), pixels: vec![] }));
        if self.lie == Lie::EmptyBatch && !records.is_empty() {
            self.batch(stream, &[]);
        }
    }
}

impl EpisodeStream for ToyRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        if self.lie == Lie::RowsAfterTheEnd && self.ended == 0 && self.batches.len() == 1 {
            self.ended = 1;
            return Ok(None);
        }
        self.batches.pop().transpose()
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.n_read
    }
}

#[test]
fn a_sound_format_passes() {
    conformance(&Toy(Lie::None), &case(Damage::Prefix(9)));
    conformance(&Toy(Lie::None), &case(RECORDS));
    conformance(&Toy(Lie::SavesNothing), &case(Damage::Anything(9)));
    // Of a file that says what is in others, nothing is held against the whole.
    conformance(&Toy(Lie::SavesNothing), &case(Damage::Records { places: 9, metadata: &["log.toy"] }));
}

const RECORDS: Damage = Damage::Records { places: 9, metadata: &["features.json"] };

/// What the kit says of a format that lies.
fn noticed(lie: Lie, damage: Damage) -> String {
    let ended = catch_unwind(AssertUnwindSafe(|| conformance(&Toy(lie), &case(damage))));
    let told = ended.expect_err(&format!("{lie:?} went unnoticed"));
    match told.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => (*other.downcast::<&str>().expect("a message")).to_owned(),
    }
}

#[test]
fn every_broken_promise_is_noticed() {
    let cases = [
        (Lie::GoesByNames, "recognised by no content"),
        (Lie::ForgetsToClaim, "other files are claimed than the dataset has"),
        (Lie::ClaimsEverything, "other files are claimed than the dataset has"),
        (Lie::LosesTheLastRow, "records read are not rows plus losses"),
        (Lie::ForgetsALoss, "damage that names no loss"),
        (Lie::CountsTooMuch, "records read are not rows plus losses"),
        (Lie::SpansTooShort, "spans do not add up"),
        (Lie::EmptyBatch, "a batch without rows"),
        (Lie::RowsAfterTheEnd, "rows after the end"),
        (Lie::DropsRowsOfSmallPartitions, "1 bytes a partition"),
        (Lie::IgnoresTopics, "only topic a"),
        (Lie::IgnoresTimes, "toy, from"),
        (Lie::IncludesTheEndOfTimes, "toy, from"),
        (Lie::SavesNothing, "rows of"),
        (Lie::PanicsOnDamage, "as asked"),
        (Lie::OpensInSpiteOfDamage, "opened in spite of damage"),
        (Lie::BatchesWithoutBound, "the bound is"),
    ];
    for (lie, message) in cases {
        for damage in [Damage::Prefix(9), RECORDS] {
            let told = noticed(lie, damage);
            assert!(told.contains(message), "{lie:?}, {damage:?}: {told}");
        }
    }
}
