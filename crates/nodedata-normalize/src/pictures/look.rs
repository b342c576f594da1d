use std::collections::BTreeSet;

use nodedata_core::{Error, ErrorKind, Finding, Locus, Result};
use nodedata_media::video::{DecodeOptions, FrameDecoder, VideoFrame, decoder};

use super::coded::Columns;
use crate::{
    loaded::holds_none,
    mapping::{Mapping, Value},
    store::{Held, Store},
};

/// Messages behind the first key frame that are fed at most to see a picture.
const LOOKED_AT: usize = 64;

/// What the first pictures of all topics of video tell.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// Bytes of one picture as bare values, by mapped stream; 0 where it has none.
    pub(crate) frame_bytes: Vec<u64>,
    /// Topics whose messages pass through although pictures were asked for.
    pub(crate) undecoded: BTreeSet<String>,
    /// The same, as it is told.
    pub(crate) findings: Vec<Finding>,
}

/// Tries to decode the first picture of each field of video. Where no decoder takes it and every message is a step, its messages
/// pass through from here on.
///
/// # Errors
/// `Unsupported` where no decoder takes a video that cannot pass through; what reading reports.
pub(crate) fn look_at_videos(store: &mut Store) -> Result<Looked> {
    let mut looked = Looked { frame_bytes: vec![0; store.mapping.streams.len()], ..Looked::default() };
    for idx in 0..store.mapping.fields.len() {
        let field = &store.mapping.fields[idx];
        let (Some(video), Value::Column(part)) = (&field.video, &field.value) else { continue };
        let columns = Columns { data: part.column, format: video.format };
        let (stream, topic) = (part.stream, store.mapping.streams[part.stream].name.to_string());
        let refusal = match first_picture(store, stream, columns) {
            Ok(frame) => {
                let n_bytes = frame.map_or(0, |it| 3 * u64::from(it.width) * u64::from(it.height));
                looked.frame_bytes[stream] = n_bytes.max(looked.frame_bytes[stream]);
                continue;
            }
            Err(err) if err.kind() == ErrorKind::Unsupported => err,
            Err(err) => return Err(err),
        };
        let at = Locus { feature: Some(field.feature.name.clone()), ..Locus::topic(topic.as_str()) };
        let why = format!("no decoder here takes the video of {topic}: {}", refusal.chain());
        let hint =
            refusal.hint().unwrap_or("convert the topic as a table of its own, without `steps`").to_owned();
        let Some(coded) = video.coded.clone() else {
            let message =
                format!("{why}; a step that takes one of its messages alone could not be decoded by anybody");
            return Err(Error::new(ErrorKind::Unsupported, message).at(at).with_hint(hint));
        };
        let message = format!("{why}; the camera passes through as it is coded");
        looked.findings.push(Finding::repair("camera-not-decoded", message, at).with_hint(hint));
        looked.undecoded.insert(topic);
        let Mapping { fields, features, .. } = &mut store.mapping;
        if let Some(feature) = features.iter_mut().find(|it| it.name == coded.name) {
            feature.clone_from(&coded);
        }
        (fields[idx].feature, fields[idx].video) = (*coded, None);
    }
    Ok(looked)
}

/// The first picture of a topic; `None` where it has no key frame, or cannot be decoded for another reason than that nobody takes it:
/// that is told where it is read, with its address.
///
/// # Errors
/// `Unsupported`; what reading reports.
fn first_picture(store: &Store, stream: usize, columns: Columns) -> Result<Option<VideoFrame>> {
    let nothing_held = Held::new();
    let mut trying: Option<Box<dyn FrameDecoder>> = None;
    let mut n_fed = 0;
    let (source, id) = (store.source.as_ref(), store.mapping.streams[stream].id);
    for partition in (0..source.plan().partitions.len()).filter(|it| !holds_none(source, *it, id)) {
        let loaded = store.stream_of(partition, stream, &nothing_held)?;
        for messages in &loaded.streams[stream].batches {
            for row in 0..messages.rows.num_rows() {
                let (codec, is_key) = columns.kind(messages, row)?;
                if trying.is_none() && !is_key {
                    continue;
                }
                if LOOKED_AT <= n_fed {
                    return finished(trying);
                }
                let decoder = match &mut trying {
                    Some(trying) => trying,
                    None => {
                        let options = DecodeOptions { in_order: true, ..DecodeOptions::default() };
                        trying.insert(decoder(codec, &[], &options)?)
                    }
                };
                let frame = decoder.decode(columns.bytes(messages, row), n_fed as i64);
                match known(frame.and_then(|()| decoder.next_frame()))? {
                    Some(Some(frame)) => return Ok(Some(frame)),
                    Some(None) => n_fed += 1,
                    None => return Ok(None),
                }
            }
        }
    }
    finished(trying)
}

/// The first picture of what was fed.
fn finished(trying: Option<Box<dyn FrameDecoder>>) -> Result<Option<VideoFrame>> {
    let Some(mut decoder) = trying else { return Ok(None) };
    let frame = decoder.finish().and_then(|()| decoder.next_frame());
    Ok(known(frame)?.flatten())
}

/// What a decoder gave; `None` where it cannot decode the video for another reason than that it takes no such.
fn known<T>(given: Result<T>) -> Result<Option<T>> {
    match given {
        Ok(given) => Ok(Some(given)),
        Err(err) if err.kind() == ErrorKind::Unsupported => Err(err),
        Err(_) => Ok(None),
    }
}
