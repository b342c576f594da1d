use arrow_array::RecordBatch;
use nodedata_core::{EpisodeInfo, Fact, Result, Source, StreamId, StreamKind, StreamSchema, placed::Mistake};

use super::{
    EpisodeSpec, MetadataFrom, Missing, Take, TopicMetadata,
    described::tell,
    facts::{fact_at, is_scalar},
};
use crate::{
    StepSpec, TimeSource, far,
    loaded::{each_batch, log_times},
    path::{Lost, resolve},
    stamp::{NO_TIME, Stamp},
};

/// A topic that tells of episodes, by its columns.
#[derive(Debug, Clone)]
pub(crate) struct TopicColumns {
    /// The stream.
    pub(crate) id: StreamId,
    column: usize,
    stamp: Stamp,
    /// Position among the metadata of the specification.
    entry: usize,
    topic: TopicMetadata,
}

/// The part of a recording's time that is an episode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// First time inside.
    pub(crate) from: i64,
    /// First time after.
    pub(crate) to: i64,
    /// Time of the first step.
    pub(crate) start: i64,
}

impl Times {
    /// A whole recording.
    pub(crate) const WHOLE: Self = Self { from: i64::MIN, to: i64::MAX, start: i64::MIN };
}

impl TopicColumns {
    /// The topics that tell of episodes. Their times are those by which steps are made, or log times.
    ///
    /// # Errors
    /// All mistakes.
    pub(crate) fn resolve(
        spec: &EpisodeSpec,
        steps: Option<&StepSpec>,
        streams: &[StreamSchema],
    ) -> Result<Vec<Self>, Vec<Mistake>> {
        let (mut all, mut mistakes) = (Vec::new(), Vec::new());
        for (entry, from) in spec.metadata.iter().enumerate() {
            let MetadataFrom::Topic(topic) = from else { continue };
            match Self::of(topic, entry, steps, streams) {
                Ok(found) => all.push(found),
                Err(lost) => {
                    let key = format!("episodes.metadata[{entry}].topic");
                    mistakes.push(Mistake::new(key, lost.message).with_hint(lost.hint));
                }
            }
        }
        if mistakes.is_empty() { Ok(all) } else { Err(mistakes) }
    }

    fn of(
        topic: &TopicMetadata,
        entry: usize,
        steps: Option<&StepSpec>,
        streams: &[StreamSchema],
    ) -> Result<Self, Lost> {
        if streams.iter().any(|it| it.kind != StreamKind::Messages) {
            return Err(Lost {
                message: "the source has no topics".to_owned(),
                hint: "take the metadata from a path or a table".to_owned(),
            });
        }
        let found = resolve(&topic.from, streams)?;
        let stream = &streams[found.stream];
        let scalar = found.columns.first().filter(|it| is_scalar(&stream.features[**it]));
        let (Some(column), None) = (scalar, &found.pick) else {
            return Err(Lost {
                message: format!("`{}` is not one number, bool or text", topic.from),
                hint: "name a field that is, such as `/task.data`".to_owned(),
            });
        };
        let stamp = stamp_of(steps, stream)?;
        Ok(Self { id: stream.id, column: *column, stamp, entry, topic: topic.clone() })
    }

    /// Tells one episode what a message says of it, in the type that is declared; where none does and that is a mistake, its
    /// key is added to `missing`.
    pub(crate) fn tell(&self, values: &TopicValues, times: Times, info: &mut EpisodeInfo, told: &mut Told) {
        let found = values.pick(self.topic.take, times);
        let value = match (found, self.topic.dtype) {
            (Some(fact), Some(dtype)) => {
                let read = dtype.parse(&fact.to_string());
                if read.is_none() {
                    told.unread.push((self.entry, info.key.clone(), fact.to_string()));
                }
                read
            }
            (Some(fact), None) => Some(fact.clone()),
            (None, _) => {
                if self.topic.missing == Missing::Error {
                    told.missing.push((self.entry, info.key.clone()));
                }
                None
            }
        };
        tell(info, &self.topic.name, value);
    }
}

/// The times of a topic: those by which steps are made, or log times.
pub(super) fn stamp_of(steps: Option<&StepSpec>, stream: &StreamSchema) -> Result<Stamp, Lost> {
    let of_topic = |it: &StepSpec| {
        let own = it.topic_times.iter().find(|it| *it.topic == *stream.name);
        Stamp::resolve(stream, own.map_or(&it.time, |it| &it.time)).ok()
    };
    match steps.and_then(of_topic) {
        Some(stamp) => Ok(stamp),
        None => Stamp::resolve(stream, &TimeSource::LogTime),
    }
}

/// What topics do not tell.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// By entry, keys of episodes without a message.
    missing: Vec<(usize, String)>,
    /// By entry, keys of episodes whose value is not of the type, and the value.
    unread: Vec<(usize, String, String)>,
}

impl Told {
    /// The mistakes that these are: the first of each entry, with the number of the others.
    pub(crate) fn mistakes(&self, topics: &[TopicColumns]) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for TopicColumns { entry, topic, .. } in topics {
            let key = |it: &str| format!("episodes.metadata[{entry}].{it}");
            let mut missing = self.missing.iter().filter(|it| it.0 == *entry);
            if let Some((_, episode)) = missing.next() {
                let message = format!(
                    "no message of `{}` tells of episode `{episode}`{}",
                    topic.from,
                    others(missing.count())
                );
                let hint = "write `missing: \"null\"` where an episode need not have one";
                mistakes.push(Mistake::new(key("topic"), message).with_hint(hint));
            }
            let mut unread = self.unread.iter().filter(|it| it.0 == *entry);
            if let Some((_, episode, value)) = unread.next() {
                let dtype = topic.dtype.map_or("text", |it| it.name());
                let message =
                    format!("`{value}` is not {dtype}, of episode `{episode}`{}", others(unread.count()));
                mistakes.push(Mistake::new(key("type"), message).with_hint("`text` takes everything"));
            }
        }
        mistakes
    }
}

/// How many others a message stands for.
pub(super) fn others(n: usize) -> String {
    match n {
        0 => String::new(),
        1 => ", nor of 1 other".to_owned(),
        n => format!(", nor of {n} others"),
    }
}

/// The values of one topic in one recording, in order of time.
#[derive(Debug, Default)]
pub(crate) struct TopicValues {
    /// Time, and position among `facts`.
    rows: Vec<(i64, usize)>,
    /// Values that follow each other, each once.
    facts: Vec<Fact>,
    /// Messages that were read.
    pub(crate) n_read: u64,
    /// Those whose stamps are far from log time: they tell nothing.
    pub(crate) n_far: u64,
    /// Stamp minus log time of the farthest of these.
    pub(crate) farthest_ns: Option<i64>,
}

impl TopicValues {
    /// Reads the topic in some partitions of a recording. What has no value or no time tells nothing, and where steps are made nor
    /// does what is stamped far from log time.
    ///
    /// # Errors
    /// What reading reports, but for damage, which whoever reads the partitions meets again.
    pub(crate) fn read(
        source: &dyn Source,
        partitions: &[usize],
        columns: &TopicColumns,
        steps: Option<&StepSpec>,
    ) -> Result<Self> {
        let mut values = Self::default();
        let mut rows: Vec<((i64, usize), Option<i64>)> = Vec::new();
        for partition in partitions {
            each_batch(source, *partition, columns.id, |batch| {
                values.n_read += batch.num_rows() as u64;
                values.take(batch, columns, &mut rows);
            })?;
        }
        if let Some(steps) = steps {
            (values.n_far, values.farthest_ns) = far::leave_out(&mut rows, steps);
        }
        values.rows = rows.into_iter().map(|it| it.0).collect();
        // A stable sort: messages of one time stay in the order they were written in.
        values.rows.sort_by_key(|it| it.0);
        Ok(values)
    }

    /// Adds the messages of a batch that have a value and a time, each with its stamp minus log time.
    fn take(
        &mut self,
        batch: &RecordBatch,
        columns: &TopicColumns,
        rows: &mut Vec<((i64, usize), Option<i64>)>,
    ) {
        let array = batch.column(columns.column);
        let logged = match columns.stamp {
            Stamp::LogTime(_) => None,
            Stamp::Nanos(_) | Stamp::Pair(..) => log_times(batch),
        };
        for (row, stamp) in columns.stamp.times(batch).into_iter().enumerate() {
            if let Some(fact) = fact_at(array.as_ref(), row).filter(|_| stamp != NO_TIME) {
                let offset = logged.as_ref().and_then(|it| it.get(row)).map(|it| stamp.saturating_sub(*it));
                rows.push(((stamp, self.place(fact)), offset));
            }
        }
    }

    /// Where a value is among the facts, which it is added to unless it is the last one.
    fn place(&mut self, fact: Fact) -> usize {
        if self.facts.last() != Some(&fact) {
            self.facts.push(fact);
        }
        self.facts.len() - 1
    }

    fn pick(&self, take: Take, times: Times) -> Option<&Fact> {
        let Times { from, to, start } = times;
        let before = |time: i64| self.rows.partition_point(|it| it.0 < time);
        let inside = match to {
            i64::MAX => before(from)..self.rows.len(),
            to => before(from)..before(to).max(before(from)),
        };
        let inside = self.rows.get(inside).unwrap_or_default();
        let row = match take {
            Take::First => inside.first(),
            Take::Last => inside.last(),
            Take::Latched => {
                let n_before = self.rows.partition_point(|it| it.0 <= start);
                n_before.checked_sub(1).and_then(|it| self.rows.get(it)).or(inside.first())
            }
        };
        row.and_then(|it| self.facts.get(it.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_that_tells_of_an_episode() {
        let mut values = TopicValues::default();
        for (stamp, text) in [(10, "a"), (20, "b"), (30, "b"), (40, "c")] {
            let place = values.place(Fact::Text(text.to_owned()));
            values.rows.push((stamp, place));
        }
        let pick =
            |take, from, to| values.pick(take, Times { from, to, start: from }).map(ToString::to_string);
        let text = |it: &str| Some(it.to_owned());
        assert_eq!(pick(Take::First, 11, 35), text("b"));
        assert_eq!(pick(Take::Last, 11, 35), text("b"));
        assert_eq!(pick(Take::Latched, 11, 35), text("a"));
        assert_eq!(pick(Take::Latched, 5, 35), text("a"));
        assert_eq!((pick(Take::First, 21, 25), pick(Take::Latched, 21, 25)), (None, text("b")));
        assert_eq!(pick(Take::First, i64::MIN, i64::MAX), text("a"));
        assert_eq!(pick(Take::Last, 50, i64::MAX), None);
        assert_eq!(values.facts.len(), 3);
    }
}
