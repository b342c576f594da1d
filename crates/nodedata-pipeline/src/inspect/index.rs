use std::collections::BTreeMap;

use nodedata_core::{FindingKind, Partition, Source, StreamId};
use nodedata_dataset::{DamageEntry, NotRead};

use super::{CELLS, Inspection, Looked, LookedAt, StreamInspection, describe};

/// What an index does not tell.
const NOT_KNOWN: [&str; 7] = [
    "sizes of the streams",
    "jitter",
    "gaps inside parts of the log",
    "times and rates finer than a part of the log",
    "records logged before their predecessor",
    "stamps of the messages",
    "damage inside parts of the log",
];

/// One part of the log, as its index describes it.
struct Part<'a> {
    counts: &'a [(StreamId, u64)],
    /// Earliest and latest time of its records.
    times: (i64, i64),
}

impl<'a> Part<'a> {
    /// `None` where the index does not count it, or says that it ends before it starts: that is not to be trusted.
    fn of(partition: &'a Partition) -> Option<Self> {
        let times = partition.times.filter(|(first, last)| first <= last)?;
        Some(Self { counts: partition.counts.as_deref()?, times })
    }
}

/// Records of a stream in one part, and the first and last time of that part.
type Told = (u64, (i64, i64));

/// What the index of a source says of it; `None` when it does not count every record.
pub(super) fn of_index(source: &dyn Source) -> Option<Inspection> {
    let plan = source.plan();
    let parts = plan.partitions.iter().filter(|it| has_records(it));
    let parts: Vec<Part<'_>> = parts.map(Part::of).collect::<Option<_>>()?;
    let first_time_ns = parts.iter().map(|it| it.times.0).min();
    let last_time_ns = parts.iter().map(|it| it.times.1).max();
    let span = first_time_ns.zip(last_time_ns);
    let mut of_stream: BTreeMap<StreamId, Vec<Told>> = BTreeMap::new();
    for part in &parts {
        for (stream, n) in part.counts.iter().filter(|(_, n)| *n > 0) {
            of_stream.entry(*stream).or_default().push((*n, part.times));
        }
    }
    let streams = plan.streams.iter().map(|it| {
        let told = of_stream.remove(&it.id).unwrap_or_default();
        measured(describe(it, source), told, span)
    });
    let streams = streams.collect();
    let entries = |kind| plan.findings_of(kind).map(DamageEntry::from).collect();
    Some(Inspection {
        format: String::new(),
        detected: String::new(),
        looked: Looked { at: LookedAt::Index, why: None, not_known: NOT_KNOWN.map(str::to_owned).to_vec() },
        inputs: plan.inputs.iter().map(|it| (it.path.display().to_string(), it.n_bytes)).collect(),
        episodes: plan.episodes.iter().map(|it| it.key.clone()).collect(),
        episode_lengths: None,
        first_time_ns,
        last_time_ns,
        streams,
        attachments: plan.attachments.iter().map(|it| (it.name.clone(), it.n_bytes())).collect(),
        damage: entries(FindingKind::Damage),
        repairs: entries(FindingKind::Repair),
        warnings: entries(FindingKind::Warning),
        not_read: NotRead::default(),
    })
}

/// Whether there may be records in a part: what is not counted may hold some.
fn has_records(partition: &Partition) -> bool {
    partition.counts.as_ref().is_none_or(|it| it.iter().any(|(_, n)| *n > 0))
}

/// A stream by the parts it lies in: how many of its records, and the times of all records there.
fn measured(stream: StreamInspection, mut told: Vec<Told>, span: Option<(i64, i64)>) -> StreamInspection {
    told.sort_unstable_by_key(|(_, times)| *times);
    let count: u64 = told.iter().map(|it| it.0).sum();
    let first_time_ns = told.iter().map(|it| it.1.0).min();
    let last_time_ns = told.iter().map(|it| it.1.1).max();
    let seconds = first_time_ns
        .zip(last_time_ns)
        .map(|(first, last)| (i128::from(last) - i128::from(first)) as f64 / 1e9)
        .filter(|it| *it > 0.0 && count > 1);
    let mut timeline = vec![0; CELLS];
    let mut longest: Option<(i64, i64)> = None;
    let mut end = None::<i64>;
    for (n, times) in told {
        if let Some(span) = span {
            spread(&mut timeline, n, times, span);
        }
        // Nothing of the stream lies between the end of one of its parts and the start of the next.
        if let Some(silence) = end.and_then(|it| times.0.checked_sub(it)).filter(|it| *it > 0) {
            longest = longest.max(Some((silence, times.0)));
        }
        end = end.max(Some(times.1));
    }
    StreamInspection {
        count,
        first_time_ns,
        last_time_ns,
        rate_hz: seconds.map(|it| (count - 1) as f64 / it),
        silence_ns: longest.map(|it| it.0),
        longest_gap_at_ns: longest.map(|(silence, until)| until - silence),
        timeline: if count == 0 { Vec::new() } else { timeline },
        ..stream
    }
}

/// Counts the records of a part evenly in the cells that it covers.
fn spread(cells: &mut [u64], n: u64, times: (i64, i64), span: (i64, i64)) {
    let whole = (i128::from(span.1) - i128::from(span.0)).max(1);
    let last = cells.len() - 1;
    let cell = |time: i64| {
        let at = (i128::from(time) - i128::from(span.0)) * cells.len() as i128 / whole;
        usize::try_from(at).unwrap_or(0).min(last)
    };
    let (from, to) = (cell(times.0), cell(times.1));
    let n_cells = (to - from + 1) as u64;
    for (idx, it) in cells[from..=to].iter_mut().enumerate() {
        *it += n / n_cells + u64::from((idx as u64) < n % n_cells);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_in_a_cell() {
        let mut cells = vec![0; 10];
        spread(&mut cells, 7, (0, 100), (0, 100));
        assert_eq!(cells, [1, 1, 1, 1, 1, 1, 1, 0, 0, 0]);
        spread(&mut cells, 5, (95, 100), (0, 100));
        assert_eq!(cells[9], 5);
        spread(&mut cells, 1, (i64::MIN, i64::MIN), (i64::MIN, i64::MAX));
        assert_eq!(cells[0], 2);
    }

    /// Times come from the file as they stand there.
    #[test]
    fn a_part_that_ends_before_it_starts_is_read() {
        let part = |times| Partition { times, counts: Some(vec![(StreamId(0), 1)]), ..Partition::default() };
        assert!(Part::of(&part(Some((5, 5)))).is_some());
        assert!(Part::of(&part(Some((5, 4)))).is_none());
        assert!(Part::of(&part(None)).is_none());
        assert!(Part::of(&Partition { counts: None, ..part(Some((1, 2))) }).is_none());
    }

    #[test]
    fn a_silence_is_what_no_part_covers() {
        let told = vec![
            (10, (0, 1_000_000_000)),
            (5, (4_000_000_000, 5_000_000_000)),
            (1, (900_000_000, 2_000_000_000)),
        ];
        let found = measured(StreamInspection::default(), told, Some((0, 5_000_000_000)));
        assert_eq!((found.count, found.rate_hz), (16, Some(3.0)));
        assert_eq!((found.silence_ns, found.longest_gap_at_ns), (Some(2_000_000_000), Some(2_000_000_000)));
        assert_eq!((found.gaps, found.bytes, found.longest_gap_ns), (None, None, None));
        assert_eq!(found.timeline.iter().sum::<u64>(), 16);
        let none = measured(StreamInspection::default(), vec![], Some((0, 1)));
        assert_eq!((none.count, none.rate_hz, none.timeline.len()), (0, None, 0));
    }
}
