use super::{AudioCodec, AudioHeader};

/// What stands behind the two bytes of the format tag in the identifier of a format.
const GUID_TAIL: &[u8] = b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71";

const PCM: u16 = 1;
const FLOAT: u16 = 3;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
const EXTENSIBLE: u16 = 0xfffe;

/// What writers that cannot seek back leave in place of a size.
const UNKNOWN: u32 = u32::MAX;

/// A WAV file, as far as its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wav<'a> {
    pub(super) format: Format,
    /// The samples that are there.
    pub(super) data: &'a [u8],
    /// Bytes of samples that the header claims; `None` where it leaves that open.
    pub(super) claimed: Option<u64>,
}

/// The `fmt ` chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// Of an extensible format, that of its identifier.
    tag: u16,
    pub(super) channels: u16,
    pub(super) rate_hz: u32,
    /// Bytes of one sample of all channels.
    pub(super) block_bytes: u16,
    /// Of one sample of one channel, with those that only fill it up.
    pub(super) bits: u16,
}

/// The header of a file.
pub(super) fn header(bytes: &[u8]) -> Option<AudioHeader> {
    let wav = wav(bytes)?;
    let format = wav.format;
    let codec = format.codec();
    let counts = !matches!(codec, AudioCodec::OtherWav(_));
    let n_blocks = || (wav.data.len() as u64).checked_div(u64::from(format.block_bytes));
    Some(AudioHeader {
        codec,
        rate_hz: format.rate_hz,
        channels: u32::from(format.channels),
        bits: counts.then_some(u32::from(format.bits)),
        n_samples: if counts && !wav.is_cut() { n_blocks() } else { None },
    })
}

/// Walks the chunks of a file up to its samples. `None` where it is no such file, or has none.
pub(super) fn wav(bytes: &[u8]) -> Option<Wav<'_>> {
    let is_long = match bytes.first_chunk::<12>()? {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E'] => false,
        [b'R', b'F', b'6', b'4', _, _, _, _, b'W', b'A', b'V', b'E']
        | [b'B', b'W', b'6', b'4', _, _, _, _, b'W', b'A', b'V', b'E'] => true,
        _ => return None,
    };
    let riff_size = le_u32(bytes, 4)?;
    let mut rest = bytes.get(12..)?;
    let (mut format, mut long_size) = (None, None);
    loop {
        let (id, size) = (rest.first_chunk::<4>()?, le_u32(rest, 4)?);
        let content = rest.get(8..)?;
        if id == b"data" {
            let size = match size {
                UNKNOWN if is_long => long_size,
                UNKNOWN => None,
                // An empty clip is one, unless nothing else in it is known either.
                0 if matches!(riff_size, 0 | UNKNOWN) => None,
                size => Some(u64::from(size)),
            };
            let n_there = content.len() as u64;
            let n = size.map_or(n_there, |it| it.min(n_there));
            let data = content.get(..usize::try_from(n).ok()?)?;
            return Some(Wav { format: format?, data, claimed: size });
        }
        let size = usize::try_from(size).ok()?;
        let content = content.get(..size)?;
        match id {
            b"fmt " => format = Some(Format::read(content)?),
            b"ds64" => long_size = Some(u64::from_le_bytes(*content.get(8..)?.first_chunk()?)),
            _ => {}
        }
        // Chunks begin at even places.
        rest = rest.get(8 + size + size % 2..)?;
    }
}

impl Wav<'_> {
    /// Whether there are fewer samples than the header says.
    pub(super) fn is_cut(&self) -> bool {
        self.claimed.is_some_and(|it| it != self.data.len() as u64)
    }
}

impl Format {
    /// `None` where it contradicts itself.
    fn read(chunk: &[u8]) -> Option<Self> {
        let mut tag = le_u16(chunk, 0)?;
        if tag == EXTENSIBLE {
            let id = chunk.get(24..40)?;
            // Other identifiers are nobody's format tag.
            tag = if id.get(2..) == Some(GUID_TAIL) { le_u16(id, 0)? } else { EXTENSIBLE };
        }
        let format = Self {
            tag,
            channels: le_u16(chunk, 2)?,
            rate_hz: le_u32(chunk, 4)?,
            block_bytes: le_u16(chunk, 12)?,
            bits: le_u16(chunk, 14)?,
        };
        format.is_sound().then_some(format)
    }

    /// Whether a block of samples is larger than they are. An extensible format counts the bytes that fill them up; elsewhere nothing
    /// tells where in its bytes a sample lies: 24 bits in four bytes are whole numbers to some readers, and floating point numbers to
    /// others, as an editor wrote them.
    fn is_padded(self) -> bool {
        let is_larger = |held: usize| self.sample_bytes() < held && held <= 8;
        matches!(self.tag, PCM | FLOAT) && self.bits != 0 && self.held_bytes().is_some_and(is_larger)
    }

    /// What such samples are, in words.
    pub(super) fn padding(self) -> Option<String> {
        let held = self.held_bytes().filter(|_| self.is_padded())?;
        Some(format!("samples of {} bits in {held} bytes each", self.bits))
    }

    /// Bytes that a block has for one sample of one channel, where they are whole ones.
    fn held_bytes(self) -> Option<usize> {
        let (block, channels) = (usize::from(self.block_bytes), usize::from(self.channels));
        (channels != 0 && block.is_multiple_of(channels)).then(|| block / channels)
    }

    /// Whether a block of bare samples is as large as its samples are.
    fn is_sound(self) -> bool {
        let bits = self.bits;
        let fits = bits != 0 && self.held_bytes() == Some(self.sample_bytes());
        match self.codec() {
            AudioCodec::Pcm => fits && bits <= 64,
            AudioCodec::Float => fits && matches!(bits, 32 | 64),
            AudioCodec::Companded => fits && bits == 8,
            _ => true,
        }
    }

    pub(super) fn codec(self) -> AudioCodec {
        match self.tag {
            tag if self.is_padded() => AudioCodec::OtherWav(tag),
            PCM => AudioCodec::Pcm,
            FLOAT => AudioCodec::Float,
            A_LAW | MU_LAW => AudioCodec::Companded,
            other => AudioCodec::OtherWav(other),
        }
    }

    /// Bytes of one sample of one channel.
    pub(super) fn sample_bytes(self) -> usize {
        usize::from(self.bits).div_ceil(8)
    }
}

fn le_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn le_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
