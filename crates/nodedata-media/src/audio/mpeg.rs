use super::{AudioCodec, AudioHeader};

/// Tags in front of each other that are passed over.
const TAGS_MAX: usize = 16;

/// Bytes behind the tags in which the first frame has to begin: some writers fill up with zeros.
const SEARCHED: usize = 1 << 16;

/// Rates of MPEG 1; MPEG 2 has half of them, MPEG 2.5 a quarter.
const RATES: [u32; 3] = [44_100, 48_000, 32_000];

/// Thousands of bits a second of layer III.
const KBITS_1: [u32; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const KBITS_2: [u32; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

/// The four bytes in front of a frame of layer III.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    /// MPEG 1, 2, or 2.5.
    is_first: bool,
    rate_hz: u32,
    is_mono: bool,
    has_crc: bool,
    /// Bytes of all of it; `None` where it leaves that to the next one.
    n_bytes: Option<usize>,
}

/// What is behind the ID3 tags that a file begins with; `None` where they are cut.
pub(super) fn behind_tags(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    for _ in 0..TAGS_MAX {
        let Some([b'I', b'D', b'3', _, _, flags, size @ ..]) = rest.first_chunk::<10>() else { break };
        // Seven bits of each byte.
        if size.iter().any(|it| it & 0x80 != 0) {
            return None;
        }
        let size = size.iter().fold(0, |n, it| n << 7 | usize::from(*it));
        let footer = if flags & 0x10 != 0 { 10 } else { 0 };
        rest = rest.get(10 + size + footer..)?;
    }
    Some(rest)
}

/// The first frame of a file without its tags, and what it says of all of them.
pub(super) fn header(bytes: &[u8]) -> Option<AudioHeader> {
    let (at, first) = (0..bytes.len().min(SEARCHED)).find_map(|at| Some((at, first_frame(bytes, at)?)))?;
    let frames = bytes.get(at..)?;
    let told = first.told(frames);
    let n_samples = match told {
        Some(told) if told.is_there(frames, first) => told.n_samples(first.n_samples()),
        Some(_) => None,
        None => count(frames, first).map(|it| it * first.n_samples()),
    };
    Some(AudioHeader {
        codec: AudioCodec::Mp3,
        rate_hz: first.rate_hz,
        channels: if first.is_mono { 1 } else { 2 },
        bits: None,
        n_samples,
    })
}

/// A frame at a place, where another one of its kind or the end is behind it.
fn first_frame(bytes: &[u8], at: usize) -> Option<Frame> {
    let rest = bytes.get(at..)?;
    let frame = Frame::read(rest)?;
    // Of one that leaves its length open nothing behind it says that it is one.
    let Some(n_bytes) = frame.n_bytes else { return (at == 0).then_some(frame) };
    let behind = rest.get(n_bytes..)?;
    (is_end(behind) || Frame::read(behind).is_some_and(|it| it.rate_hz == frame.rate_hz)).then_some(frame)
}

/// How many frames there are, where each ends at the next and the last at the end.
fn count(bytes: &[u8], first: Frame) -> Option<u64> {
    let (mut rest, mut n) = (bytes, 0);
    while !is_end(rest) {
        rest = behind(rest, first)?;
        n += 1;
    }
    Some(n)
}

/// What is behind a whole frame of the kind of the first one.
fn behind(bytes: &[u8], first: Frame) -> Option<&[u8]> {
    let frame = Frame::read(bytes).filter(|it| it.rate_hz == first.rate_hz)?;
    bytes.get(frame.n_bytes?..)
}

/// Whether there are no more frames: nothing at all, or a tag at the end.
fn is_end(rest: &[u8]) -> bool {
    rest.is_empty() || rest.starts_with(b"TAG") || rest.starts_with(b"APETAGEX")
}

impl Frame {
    fn read(bytes: &[u8]) -> Option<Self> {
        let [0xff, second, third, fourth] = *bytes.first_chunk::<4>()? else { return None };
        // Eleven bits of a mark, two of the version, two of the layer.
        if second & 0xe0 != 0xe0 || second >> 1 & 3 != 1 {
            return None;
        }
        let (is_first, divisor) = match second >> 3 & 3 {
            0 => (false, 4),
            2 => (false, 2),
            3 => (true, 1),
            _ => return None,
        };
        let rate_hz = RATES.get(usize::from(third >> 2 & 3))? / divisor;
        let kbits = if is_first { KBITS_1 } else { KBITS_2 };
        let kbits = *kbits.get(usize::from(third >> 4))?;
        let padding = usize::from(third >> 1 & 1);
        // Samples of a frame, an eighth of them, times bits a second, by samples a second.
        let n_slots = if is_first { 144_000 } else { 72_000 } * kbits / rate_hz;
        Some(Self {
            is_first,
            rate_hz,
            is_mono: fourth >> 6 == 3,
            has_crc: second & 1 == 0,
            n_bytes: (kbits != 0).then_some(n_slots as usize + padding),
        })
    }

    /// Samples of each channel.
    fn n_samples(self) -> u64 {
        if self.is_first { 1152 } else { 576 }
    }

    /// What the first frame tells of the others, where it is one that tells. It holds no sound.
    fn told(self, bytes: &[u8]) -> Option<Told> {
        let side = match (self.is_first, self.is_mono) {
            (true, false) => 32,
            (true, true) | (false, false) => 17,
            (false, true) => 9,
        };
        let crc = if self.has_crc { 2 } else { 0 };
        // Its place does not depend on the checksum for all writers.
        [4 + side, 4 + side + crc].into_iter().find_map(|at| xing(bytes.get(at..)?)).or_else(|| vbri(bytes))
    }
}

/// What a frame that holds no sound says of those that do.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// `None` where it leaves that out.
    n_frames: Option<u32>,
    /// Samples at the beginning and at the end that an encoder added.
    n_added: u64,
}

impl Told {
    /// Whether as many frames follow the one that says it. Of frames without a length nobody knows, and they are believed.
    fn is_there(self, frames: &[u8], first: Frame) -> bool {
        let Some(n_frames) = self.n_frames.filter(|_| first.n_bytes.is_some()) else { return true };
        let mut rest = behind(frames, first);
        (0..n_frames).all(|_| {
            rest = rest.and_then(|it| behind(it, first));
            rest.is_some()
        })
    }

    fn n_samples(self, of_frame: u64) -> Option<u64> {
        (u64::from(self.n_frames?) * of_frame).checked_sub(self.n_added)
    }
}

fn xing(bytes: &[u8]) -> Option<Told> {
    if !bytes.starts_with(b"Xing") && !bytes.starts_with(b"Info") {
        return None;
    }
    let flags = be_u32(bytes, 4)?;
    let n_frames = if flags & 1 != 0 { Some(be_u32(bytes, 8)?) } else { None };
    // Frames, bytes, table of contents and quality are there or not.
    let lame = [(1, 4), (2, 4), (4, 100), (8, 4)];
    let at = lame.iter().filter(|(flag, _)| flags & flag != 0).fold(8, |at, (_, n)| at + n);
    let n_added = added(bytes.get(at..).unwrap_or_default());
    Some(Told { n_frames, n_added })
}

/// Who says it: LAME, and FFmpeg in the same way.
const WRITERS: [&[u8]; 3] = [b"LAME", b"Lavf", b"Lavc"];

/// What such a writer says of the samples that it added.
fn added(bytes: &[u8]) -> u64 {
    match bytes.get(21..24) {
        Some(&[a, b, c]) if WRITERS.iter().any(|it| bytes.starts_with(it)) => {
            let packed = u64::from(u32::from_be_bytes([0, a, b, c]));
            (packed >> 12) + (packed & 0xfff)
        }
        _ => 0,
    }
}

/// The other kind, of Fraunhofer's encoder.
fn vbri(bytes: &[u8]) -> Option<Told> {
    let bytes = bytes.get(36..)?;
    if !bytes.starts_with(b"VBRI") {
        return None;
    }
    Some(Told { n_frames: Some(be_u32(bytes, 14)?), n_added: 0 })
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
