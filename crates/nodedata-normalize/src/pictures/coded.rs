use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow_array::{Array, cast::AsArray};
use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_media::{VideoCodec, is_keyframe, sniff};

use crate::{
    loaded::Loaded,
    store::{Held, Store},
    survey::Survey,
    track::{Messages, Place},
};

/// The coded messages of one topic of a recording, in the order of their stamps. Of partitions only those are held that the next
/// message may lie in.
pub(crate) struct Coded<'a> {
    pub(super) store: &'a Store,
    survey: &'a Survey,
    held: &'a Held,
    stream: usize,
    /// The columns of the samples, and of what they say they are.
    columns: Columns,
    loaded: BTreeMap<u32, Arc<Loaded>>,
    looked_at: BTreeSet<usize>,
    /// Of the partitions by their start, the first that may hold a message at or behind the place that was asked for last.
    n_passed: (i64, usize),
}

/// Which columns of a message its sample is in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub(super) data: usize,
    pub(super) format: Option<usize>,
}

/// One coded message.
pub(super) struct Sample {
    pub(super) place: Place,
    pub(super) codec: VideoCodec,
    /// Whether decoding can start here.
    pub(super) is_key: bool,
    /// Whether messages between it and the one before may be lost.
    pub(super) is_unsure: bool,
    message: Arc<Messages>,
    data: usize,
}

impl Sample {
    pub(super) fn bytes(&self) -> &[u8] {
        bytes_of(&self.message, self.data, self.place.row as usize)
    }
}

fn bytes_of(messages: &Messages, data: usize, row: usize) -> &[u8] {
    let data = messages.rows.column(data).as_binary_opt::<i32>();
    data.filter(|it| it.is_valid(row)).map_or(&[], |it| it.value(row))
}

impl Columns {
    pub(super) fn bytes(self, messages: &Messages, row: usize) -> &[u8] {
        bytes_of(messages, self.data, row)
    }

    /// How a message says it is coded, or its bytes where it says nothing; and whether decoding can start at it.
    ///
    /// # Errors
    /// `Unsupported` for a coding that nobody knows.
    pub(super) fn kind(self, messages: &Messages, row: usize) -> Result<(VideoCodec, bool)> {
        let bytes = self.bytes(messages, row);
        let label = self.format.and_then(|it| messages.rows.column(it).as_string_opt::<i32>());
        let label = label.filter(|it| it.is_valid(row)).map_or("", |it| it.value(row));
        let codec = match label {
            "" => sniff(bytes).and_then(|it| VideoCodec::from_label(it.name())),
            label => VideoCodec::from_label(label),
        };
        let Some(codec) = codec else {
            let message = match label {
                "" => "a message of video does not say how it is coded, and its bytes do not tell".to_owned(),
                label => format!("a message of video is coded as `{label}`, which is not known here"),
            };
            return Err(Error::new(ErrorKind::Unsupported, message).with_hint(
                "h264, h265, av1 and vp9 are decoded; make another topic the camera, or leave it out",
            ));
        };
        Ok((codec, is_keyframe(codec, bytes) == Some(true)))
    }
}

impl<'a> Coded<'a> {
    /// Of a mapped stream, by the positions of its samples and of what they say they are among the columns kept.
    pub(crate) fn new(
        store: &'a Store,
        survey: &'a Survey,
        held: &'a Held,
        (stream, data, format): (usize, usize, Option<usize>),
    ) -> Self {
        Self {
            store,
            survey,
            held,
            stream,
            columns: Columns { data, format },
            loaded: BTreeMap::new(),
            looked_at: BTreeSet::new(),
            n_passed: (i64::MIN, 0),
        }
    }

    pub(super) fn stream(&self) -> usize {
        self.stream
    }

    /// Positions of the partitions that were read beside those that are held.
    pub(super) fn looked_at(&self) -> impl Iterator<Item = usize> + '_ {
        self.looked_at.iter().copied()
    }

    /// An error with the message that it is about.
    pub(super) fn at(&self, err: &Error, place: Place) -> Error {
        let partition = self.survey.partitions.get(place.partition as usize);
        let plan = self.store.source.plan();
        let read = partition.and_then(|it| plan.partitions.get(*it)?.reads.first());
        let topic = self.store.mapping.streams[self.stream].name.to_string();
        let path = read.and_then(|it| plan.input_path(it.input));
        let kind = err.kind();
        let told = format!("the video of {topic} at {} ns: {err}", place.stamp);
        let mut told = Error::new(kind, told).at(Locus { path, topic: Some(topic), ..Locus::default() });
        if let Some(hint) = err.hint() {
            told = told.with_hint(hint);
        }
        let chain = err.chain();
        match chain.strip_prefix(&format!("{err}: ")) {
            Some(cause) => told.with_source(cause.to_owned()),
            None => told,
        }
    }

    fn load(&mut self, position: u32) -> Result<Arc<Loaded>> {
        if let Some(loaded) = self.loaded.get(&position) {
            return Ok(Arc::clone(loaded));
        }
        let loaded = self.read(position)?;
        self.loaded.insert(position, Arc::clone(&loaded));
        Ok(loaded)
    }

    fn read(&mut self, position: u32) -> Result<Arc<Loaded>> {
        self.looked_at.insert(position as usize);
        let partition = self.survey.partitions[position as usize];
        self.store.stream_of(partition, self.stream, self.held)
    }

    /// Whether none of the messages of a partition is missing.
    fn is_whole(&self, loaded: &Loaded, span: (i64, i64)) -> bool {
        let stream = &loaded.streams[self.stream];
        let id = self.store.mapping.streams[self.stream].id;
        let is_lost = |err: &Error| {
            err.loss().is_some_and(|it| it.uncounted || it.records.iter().any(|it| it.0 == id && it.1 != 0))
        };
        stream.n_timeless == 0
            && stream.n_far == 0
            && stream.strays(span) == 0
            && !loaded.damage.iter().any(is_lost)
    }

    /// The first message at `from`, or behind it where that `is_past`.
    ///
    /// # Errors
    /// What reading reports; `Unsupported` for an unknown coding.
    pub(super) fn next(&mut self, from: Place, is_past: bool) -> Result<Option<Sample>> {
        let survey = self.survey;
        let lookup = &survey.lookups[self.stream];
        let order = lookup.earliest_first();
        let (asked, mut n_passed) = self.n_passed;
        if from.stamp < asked {
            n_passed = 0;
        }
        let is_over = |it: &u32| lookup.spans[*it as usize].1 < from.stamp;
        n_passed += order[n_passed..].iter().take_while(|it| is_over(it)).count();
        self.n_passed = (from.stamp, n_passed);
        self.loaded.retain(|it, _| !is_over(it));
        let is_before = |it: &Place| if is_past { *it <= from } else { *it < from };
        let mut best: Option<Place> = None;
        let mut is_unsure = false;
        for position in order[n_passed..].iter().copied().filter(|it| !is_over(it)) {
            let span = lookup.spans[position as usize];
            if best.is_some_and(|it| it.stamp < span.0) {
                break;
            }
            let loaded = self.load(position)?;
            is_unsure |= !self.is_whole(&loaded, span);
            let rows = loaded.streams[self.stream].between(span.0.max(from.stamp), span.1);
            let place =
                |it: &(i64, u32, u32)| Place { stamp: it.0, partition: position, batch: it.1, row: it.2 };
            let at = rows.partition_point(|it| is_before(&place(it)));
            let found = rows.get(at).map(place);
            best = best.into_iter().chain(found).min();
        }
        let Some(place) = best else { return Ok(None) };
        let loaded = self.load(place.partition)?;
        let message = Arc::clone(&loaded.streams[self.stream].batches[place.batch as usize]);
        let kind = self.columns.kind(&message, place.row as usize);
        let (codec, is_key) = kind.map_err(|err| self.at(&err, place))?;
        Ok(Some(Sample { place, codec, is_key, is_unsure, message, data: self.columns.data }))
    }

    /// The last key frame at `place` or before it, and behind `floor`.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(super) fn key_before(&mut self, place: Place, floor: Option<Place>) -> Result<Option<Place>> {
        let survey = self.survey;
        let lookup = &survey.lookups[self.stream];
        let mut best: Option<Place> = None;
        for position in lookup.latest_first().iter().copied() {
            let (first, last) = lookup.spans[position as usize];
            if best.or(floor).is_some_and(|it| last < it.stamp) {
                break;
            }
            if place.stamp < first {
                continue;
            }
            let loaded = self.read(position)?;
            let stream = &loaded.streams[self.stream];
            for (stamp, batch, row) in stream.between(first, last.min(place.stamp)).iter().rev().copied() {
                let at = Place { stamp, partition: position, batch, row };
                if place < at {
                    continue;
                }
                if best.is_some_and(|it| at < it) || floor.is_some_and(|it| at <= it) {
                    break;
                }
                let kind = self.columns.kind(&stream.batches[batch as usize], row as usize);
                if kind.map_err(|err| self.at(&err, at))?.1 {
                    best = Some(at);
                    break;
                }
            }
        }
        Ok(best)
    }
}
