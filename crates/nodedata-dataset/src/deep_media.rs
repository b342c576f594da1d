//! Pictures and clips of a stream, decoded one by one to see that they are whole.

use std::collections::BTreeMap;

use arrow_array::{Array as _, ArrayRef, cast::AsArray};
use nodedata_core::{ErrorKind, Nested};
use nodedata_media::Encoding;
use rayon::prelude::*;

/// Pictures and clips of a feature of which one thing is wrong are named up to this number; how many more there are is told.
const NAMED: usize = 10;

/// The encoded media of a stream, as far as they were looked at.
#[derive(Default)]
pub(crate) struct MediaWalk {
    by_feature: BTreeMap<String, Media>,
    n_frames: u64,
    n_clips: u64,
}

/// What looking at them showed. Each is where, and what is to be said of it.
#[derive(Default)]
pub(crate) struct Seen {
    /// Pictures decoded.
    pub(crate) n_frames: u64,
    /// Clips decoded.
    pub(crate) n_clips: u64,
    pub(crate) bad_frames: Vec<(String, String)>,
    pub(crate) bad_clips: Vec<(String, String)>,
    /// What no decoder here takes.
    pub(crate) unchecked: Vec<(String, String)>,
}

/// What the pictures and clips of a feature are, by their first bytes, and what is wrong with some.
#[derive(Default)]
struct Media {
    n_pictures: usize,
    /// Clips of sound whose header was read.
    n_clips: usize,
    /// Bytes that begin like neither.
    unknown: Few<Unknown>,
    bad_pictures: Few<String>,
    bad_clips: Few<String>,
    /// That the decoder does not take.
    unsupported: Few<String>,
}

/// The first few of many, each with its place, and how many there are beside them.
struct Few<T> {
    named: Vec<(String, T)>,
    n_more: usize,
}

/// Bytes that are nothing known.
struct Unknown {
    n_bytes: usize,
    /// The first of them, for people.
    start: String,
}

/// What the bytes of a medium turned out to be.
enum Look {
    Absent,
    Picture(Decoded),
    Clip(Decoded),
    /// Video as a file, or sound whose header is not read here. There are codings of those that nobody knows here, so what stands
    /// beside it may be one.
    Other,
    /// Nothing known by its first bytes.
    Unknown,
}

/// What came of decoding a medium.
enum Decoded {
    Whole,
    /// This build has no decoder for the coding.
    Passed,
    /// The decoder does not take this one, and says why.
    Unsupported(String),
    Broken(String),
}

impl MediaWalk {
    /// Decodes every JPEG, PNG, FLAC and WAV of a column whose first row is `first_row` of a shard. Other codings have no decoder in
    /// this build and are passed over; bytes that are no picture and no clip at all are noted.
    pub(crate) fn rows(&mut self, shard: &str, feature: &str, column: &ArrayRef, first_row: u64) {
        let nested = Nested::of(column);
        let Some(bytes) = nested.values.as_binary_opt::<i32>() else { return };
        let valid = nested.items.last().and_then(|it| it.valid.as_ref());
        let looked_at: Vec<Look> = (0..bytes.len())
            .into_par_iter()
            .map(|idx| match valid.is_none_or(|it| it.is_valid(idx)) {
                true => Look::at(bytes.value(idx)),
                false => Look::Absent,
            })
            .collect();
        let place = |idx: usize| {
            let (row, place) = nested.place_of(idx);
            let place: String = place.iter().map(|it| format!("[{it}]")).collect();
            format!("{shard}, row {}, feature `{feature}{place}`", first_row + row as u64)
        };
        let media = self.by_feature.entry(feature.to_owned()).or_default();
        for (idx, look) in looked_at.into_iter().enumerate() {
            media.n_pictures += usize::from(matches!(look, Look::Picture(_)));
            media.n_clips += usize::from(matches!(look, Look::Clip(_)));
            let place = || place(idx);
            match look {
                Look::Absent | Look::Other | Look::Picture(Decoded::Passed) | Look::Clip(Decoded::Passed) => {
                }
                Look::Picture(Decoded::Whole) => self.n_frames += 1,
                Look::Clip(Decoded::Whole) => self.n_clips += 1,
                Look::Picture(Decoded::Unsupported(why)) | Look::Clip(Decoded::Unsupported(why)) => {
                    media.unsupported.push(place, why);
                }
                Look::Picture(Decoded::Broken(why)) => media.bad_pictures.push(place, why),
                Look::Clip(Decoded::Broken(why)) => media.bad_clips.push(place, why),
                Look::Unknown => media.unknown.push(place, Unknown::new(bytes.value(idx))),
            }
        }
    }

    /// What there is to say of all of them.
    pub(crate) fn finish(self) -> Seen {
        let mut seen = Seen { n_frames: self.n_frames, n_clips: self.n_clips, ..Seen::default() };
        for media in self.by_feature.into_values() {
            media.tell(&mut seen);
        }
        seen
    }
}

impl Media {
    /// Beside pictures, bytes that are none are damage, and so they are beside clips of sound. Where a feature has nothing else,
    /// its coding is one that this build does not know, and nobody can tell.
    fn tell(self, seen: &mut Seen) {
        seen.bad_frames.extend(self.bad_pictures.told("cannot be decoded", |why| why));
        seen.bad_clips.extend(self.bad_clips.told("cannot be decoded", |why| why));
        seen.unchecked.extend(self.unsupported.told("cannot be decoded here", |why| why));
        let (told, medium) = match (self.n_pictures, self.n_clips) {
            (0, 0) => (&mut seen.unchecked, "picture"),
            (0, _) => (&mut seen.bad_clips, "clip"),
            (_, _) => (&mut seen.bad_frames, "picture"),
        };
        told.extend(self.unknown.told(&format!("are no {medium}s"), |it| it.told(medium)));
    }
}

impl<T> Few<T> {
    fn push(&mut self, at: impl FnOnce() -> String, one: T) {
        if self.named.len() < NAMED { self.named.push((at(), one)) } else { self.n_more += 1 }
    }

    /// Each of them in words, and behind the last of them how many more there are that `are_so`.
    fn told(self, are_so: &str, mut words: impl FnMut(T) -> String) -> Vec<(String, String)> {
        let more = self.named.last().filter(|_| self.n_more != 0);
        let more = more.map(|(at, _)| (at.clone(), format!("{} more of this feature {are_so}", self.n_more)));
        let each = self.named.into_iter().map(|(at, one)| (at, words(one)));
        each.chain(more).collect()
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { named: Vec::new(), n_more: 0 }
    }
}

impl Unknown {
    fn new(bytes: &[u8]) -> Self {
        let start = bytes.get(..8).unwrap_or(bytes).escape_ascii().to_string();
        Self { n_bytes: bytes.len(), start }
    }

    /// What is wrong with them where there should be a `medium`.
    fn told(&self, medium: &str) -> String {
        let start = &self.start;
        match self.n_bytes {
            0 => format!("is empty, where a {medium} should be"),
            n => format!("{n} bytes that begin with `{start}` are no {medium} of a coding that is known"),
        }
    }
}

impl Look {
    fn at(frame: &[u8]) -> Self {
        match nodedata_media::sniff(frame) {
            Some(Encoding::Jpeg | Encoding::Png) => match nodedata_media::decode_image(frame) {
                Ok(_) => Self::Picture(Decoded::Whole),
                Err(err) => Self::Picture(Decoded::Broken(err.chain())),
            },
            Some(_) => Self::Picture(Decoded::Passed),
            None if nodedata_media::sniff_clip(frame).is_some() => Self::at_clip(frame),
            None => Self::Unknown,
        }
    }

    fn at_clip(clip: &[u8]) -> Self {
        match nodedata_media::check_audio(clip) {
            Ok(true) => Self::Clip(Decoded::Whole),
            Ok(false) if nodedata_media::audio_header(clip).is_some() => Self::Clip(Decoded::Passed),
            Ok(false) => Self::Other,
            Err(err) if err.kind() == ErrorKind::Unsupported => Self::Clip(Decoded::Unsupported(err.chain())),
            Err(err) => Self::Clip(Decoded::Broken(err.chain())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::BinaryArray;

    use super::*;

    fn seen(shards: &[(&str, Vec<&[u8]>)]) -> Seen {
        let mut walk = MediaWalk::default();
        for (feature, media) in shards {
            let column = Arc::new(BinaryArray::from_iter_values(media)) as ArrayRef;
            walk.rows("data/a.parquet", feature, &column, 100);
        }
        walk.finish()
    }

    /// JPEG, as far as its first bytes tell.
    const TORN: &[u8] = b"\xff\xd8\xff\xe0";
    /// FLAC of which there is nothing more.
    const CUT: &[u8] = b"fLaC";

    #[test]
    fn what_is_not_named_is_counted() {
        let seen = seen(&[("front", vec![TORN; 13]), ("wrist", vec![TORN; 10]), ("front", vec![TORN; 4])]);
        assert_eq!(seen.bad_frames.len(), 10 + 1 + 10);
        let (at, more) = &seen.bad_frames[10];
        assert_eq!(at, "data/a.parquet, row 109, feature `front`");
        assert_eq!(more, "7 more of this feature cannot be decoded");
        assert!(seen.bad_frames[11..].iter().all(|it| it.0.ends_with("feature `wrist`")));
        assert!(seen.bad_clips.is_empty() && seen.unchecked.is_empty() && seen.n_frames == 0);
    }

    #[test]
    fn clips_and_unknown_bytes_are_counted_as_well() {
        let seen = seen(&[("sound", [vec![CUT; 12], vec![b"noise".as_slice(); 11]].concat())]);
        let told: Vec<&str> = seen.bad_clips.iter().map(|it| it.1.as_str()).collect();
        assert_eq!(told.len(), 22);
        assert_eq!(told[10], "2 more of this feature cannot be decoded");
        assert_eq!(told[20], "5 bytes that begin with `noise` are no clip of a coding that is known");
        assert_eq!(told[21], "1 more of this feature are no clips");
        assert!(seen.bad_frames.is_empty());
    }

    /// Where nothing is known, nobody can tell, but how many there are.
    #[test]
    fn bytes_of_no_known_coding_are_counted_too() {
        let seen = seen(&[("odd", vec![b"?".as_slice(); 1_000])]);
        assert!(seen.bad_frames.is_empty() && seen.bad_clips.is_empty());
        assert_eq!(seen.unchecked.len(), 11);
        assert_eq!(seen.unchecked[10].1, "990 more of this feature are no pictures");
    }
}
