use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_media::{
    VideoCodec,
    video::{DecodeOptions, FrameDecoder, VideoFrame, decoder},
};

use super::coded::{Coded, Sample};
use crate::track::Place;

/// Messages that one decoder takes at least before a key frame ends its run: a decoder may be a program, which gives frames only
/// where it has all that it is fed.
const RUN_MESSAGES: i64 = 64;

/// Decoders that wait for the next piece of their recording.
const PARKED: usize = 16;

/// A decoder on its way through the messages of a topic.
pub(crate) struct Player {
    recording: usize,
    stream: usize,
    /// The last message that was fed or passed over, or, before any was, the one to start with.
    at: Place,
    is_past: bool,
    /// Every message up to here has given its picture, or has none.
    settled: Option<Place>,
    last: Option<(Place, VideoFrame)>,
    run: Option<Run>,
    /// Whether what comes needs messages that are not there.
    is_broken: bool,
    /// Positions of the partitions that the pictures since the last key frame are made of.
    partitions: BTreeSet<u32>,
}

/// A decoder, and the messages whose pictures are to come.
struct Run {
    decoder: Box<dyn FrameDecoder>,
    codec: VideoCodec,
    waiting: VecDeque<(i64, Place)>,
    n_fed: i64,
    is_finished: bool,
}

/// Decoders at the ends of pieces: where the next piece goes on, nothing is decoded twice.
#[derive(Default)]
pub(crate) struct Parked(Mutex<Vec<Player>>);

impl Parked {
    /// The one that is farthest on its way to a message.
    fn take(&self, recording: usize, stream: usize, wanted: Place) -> Option<Player> {
        let mut parked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |it: &Player| {
            let is_before = if it.is_past { it.at < wanted } else { it.at <= wanted };
            let has_it = it.last.as_ref().is_some_and(|it| it.0 == wanted);
            it.recording == recording && it.stream == stream && (is_before || has_it || it.waits_for(wanted))
        };
        let fitting = parked.iter().enumerate().filter(|it| fits(it.1));
        let (idx, _) = fitting.max_by_key(|it| it.1.at)?;
        Some(parked.remove(idx))
    }

    pub(super) fn put(&self, player: Player) {
        let mut parked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = (PARKED <= parked.len()).then(|| parked.remove(0));
        parked.push(player);
        // Not under the lock: a decoder may be a program, whose end is waited for.
        drop(parked);
        drop(oldest);
    }
}

impl Player {
    /// One that comes to a message: on its way there already, or from the last key frame before it on.
    ///
    /// # Errors
    /// What reading reports.
    pub(super) fn open(coded: &mut Coded<'_>, recording: usize, wanted: Place) -> Result<Self> {
        let stream = coded.stream();
        let parked = coded.store.parked.take(recording, stream, wanted);
        let floor = parked.as_ref().map(|it| it.at);
        let key = coded.key_before(wanted, floor)?;
        let is_broken = key.is_none();
        Ok(match (key, parked) {
            (None, Some(player)) => player,
            (key, _) => Self {
                recording,
                stream,
                at: key.unwrap_or(wanted),
                is_past: false,
                settled: None,
                last: None,
                run: None,
                is_broken,
                partitions: BTreeSet::new(),
            },
        })
    }

    fn waits_for(&self, wanted: Place) -> bool {
        self.run.as_ref().is_some_and(|it| it.waiting.iter().any(|it| it.1 == wanted))
    }

    /// Positions of the partitions that the last picture is made of.
    pub(super) fn partitions(&self) -> impl Iterator<Item = u32> + '_ {
        self.partitions.iter().copied()
    }

    /// The picture of a message, which is none before those asked for earlier; `None` where no key frame is before it, or messages
    /// between the two may be lost.
    ///
    /// # Errors
    /// `Corrupt` for video that cannot be decoded, or gives its frames in another order than its messages come in; `Unsupported`;
    /// what reading reports. Nothing more is to be asked of it then.
    pub(super) fn picture(&mut self, coded: &mut Coded<'_>, wanted: Place) -> Result<Option<&VideoFrame>> {
        loop {
            if self.last.as_ref().is_some_and(|it| it.0 == wanted) {
                return Ok(self.last.as_ref().map(|it| &it.1));
            }
            if self.settled.is_some_and(|it| wanted <= it) {
                return Ok(None);
            }
            if self.take_frame(coded)? {
                continue;
            }
            match coded.next(self.at, self.is_past)? {
                Some(sample) => self.take_in(coded, &sample)?,
                None if self.run.is_some() => self.finish(coded)?,
                None => self.settled = Some(wanted),
            }
        }
    }

    /// Takes a frame that is ready, or the end of a run; `false` where more messages are needed.
    fn take_frame(&mut self, coded: &Coded<'_>) -> Result<bool> {
        let Some(run) = &mut self.run else { return Ok(false) };
        let at = run.waiting.front().map_or(self.at, |it| it.1);
        let frame = run.decoder.next_frame().map_err(|err| coded.at(&err, at))?;
        match frame {
            Some(frame) => match run.waiting.pop_front() {
                Some((order, place)) if order == frame.order => {
                    self.settled = Some(place);
                    self.last = Some((place, frame));
                    Ok(true)
                }
                _ => Err(coded.at(&out_of_order(), at)),
            },
            None if run.is_finished => {
                if let Some((_, place)) = run.waiting.front() {
                    let message = format!("the decoder made no picture of {} messages", run.waiting.len());
                    let err = Error::new(ErrorKind::Corrupt, message).with_hint(HINT);
                    return Err(coded.at(&err, *place));
                }
                self.run = None;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Feeds a message, or ends the run before it.
    fn take_in(&mut self, coded: &Coded<'_>, sample: &Sample) -> Result<()> {
        let Sample { place, codec, is_key, is_unsure, .. } = *sample;
        let goes_on = self.run.as_ref().is_none_or(|it| match is_key {
            true => it.codec == codec && it.n_fed < RUN_MESSAGES,
            false => !is_unsure,
        });
        if !goes_on {
            return self.finish(coded);
        }
        (self.at, self.is_past) = (place, true);
        if !is_key && (self.is_broken || is_unsure || self.run.is_none()) {
            self.is_broken = true;
            self.settled = Some(place);
            return Ok(());
        }
        if is_key {
            self.partitions.clear();
        }
        self.partitions.insert(place.partition);
        self.is_broken = false;
        let run = match &mut self.run {
            Some(run) if run.codec == codec => run,
            Some(run) => {
                let (one, other) = (codec.name(), run.codec.name());
                let message =
                    format!("the message is coded as {one}, and the key frame before it as {other}");
                return Err(coded.at(&Error::new(ErrorKind::Corrupt, message).with_hint(HINT), place));
            }
            run @ None => {
                let options = DecodeOptions { in_order: true, ..DecodeOptions::default() };
                let decoder = decoder(codec, &[], &options).map_err(|err| coded.at(&err, place))?;
                run.insert(Run { decoder, codec, waiting: VecDeque::new(), n_fed: 0, is_finished: false })
            }
        };
        run.decoder.decode(sample.bytes(), run.n_fed).map_err(|err| coded.at(&with_hint(err), place))?;
        run.waiting.push_back((run.n_fed, place));
        run.n_fed += 1;
        Ok(())
    }

    fn finish(&mut self, coded: &Coded<'_>) -> Result<()> {
        let Some(run) = &mut self.run else { return Ok(()) };
        run.is_finished = true;
        run.decoder.finish().map_err(|err| coded.at(&with_hint(err), self.at))
    }
}

const HINT: &str = "the topic is not sound video: convert it as a table of its own, without `steps`, or leave the camera out of `fields`";

fn with_hint(err: Error) -> Error {
    if err.hint().is_some() { err } else { err.with_hint(HINT) }
}

fn out_of_order() -> Error {
    let message = "the decoder gave another picture than that of the next message: the video shows its frames in another order than they \
                   were sent in (B-frames), which topics of coded video do not have";
    Error::new(ErrorKind::Corrupt, message).with_hint(HINT)
}
