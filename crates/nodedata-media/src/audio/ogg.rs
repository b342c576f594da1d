use super::{AudioCodec, AudioHeader, flac};

/// The most bytes that a page has: its header, 255 lengths, and as many times 255 bytes.
const PAGE_BYTES_MAX: usize = 27 + 255 + 255 * 255;

/// What begins a page.
const MAGIC: &[u8] = b"OggS";

/// A page of a file.
#[derive(Debug, Clone, Copy)]
struct Page<'a> {
    is_first: bool,
    /// How many samples there are up to its end; -1 where no packet ends in it.
    granule: i64,
    serial: u32,
    /// Packets that end in it.
    n_packets: u64,
    content: &'a [u8],
    n_bytes: usize,
}

/// The header of the one stream of a file.
pub(super) fn header(bytes: &[u8]) -> Option<AudioHeader> {
    let first = Page::read(bytes)?;
    if !first.is_first {
        return None;
    }
    let (header, n_skipped) = identified(first.content)?;
    let begins =
        || packet_samples_max(first.content).is_some_and(|it| begins_at_zero(bytes, first.serial, it));
    // What FLAC says of itself holds, unless it leaves it open.
    let n_samples = header.n_samples.or_else(|| {
        let last = last_page(bytes).filter(|it| it.serial == first.serial && begins())?;
        u64::try_from(last.granule).ok()?.checked_sub(n_skipped)
    });
    Some(AudioHeader { n_samples, ..header })
}

/// Whether the first page of a file is of Opus.
pub(crate) fn is_opus(bytes: &[u8]) -> bool {
    let content = |n_lengths: &u8| bytes.get(27 + usize::from(*n_lengths)..);
    bytes.starts_with(MAGIC) && bytes.get(26).and_then(content).is_some_and(|it| it.starts_with(b"OpusHead"))
}

/// What the first packet of a stream says, and how many samples of what is decoded are none of the clip's.
fn identified(packet: &[u8]) -> Option<(AudioHeader, u64)> {
    let header = |codec, rate_hz, channels: u8| AudioHeader {
        codec,
        rate_hz,
        channels: channels.into(),
        bits: None,
        n_samples: None,
    };
    match packet {
        [1, b'v', b'o', b'r', b'b', b'i', b's', 0, 0, 0, 0, channels, a, b, c, d, ..] => {
            Some((header(AudioCodec::Vorbis, u32::from_le_bytes([*a, *b, *c, *d]), *channels), 0))
        }
        // The rate that the header tells is that of what was encoded.
        [b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', ..=15, channels, a, b, ..] => {
            let pre_skip = u16::from_le_bytes([*a, *b]);
            Some((header(AudioCodec::Opus, 48_000, *channels), pre_skip.into()))
        }
        [0x7f, b'F', b'L', b'A', b'C', _, _, _, _, rest @ ..] => {
            let header = flac::stream_info(rest.strip_prefix(flac::MAGIC)?, AudioCodec::OggFlac)?;
            Some((header, 0))
        }
        _ => None,
    }
}

/// The most samples that a packet of a stream decodes to, by its first packet.
fn packet_samples_max(first: &[u8]) -> Option<u64> {
    match first {
        // The larger of two sizes of blocks, as a power of two.
        [1, b'v', b'o', b'r', b'b', b'i', b's', ..] => Some(1_u64 << (*first.get(28)? >> 4)),
        // 120 milliseconds.
        [b'O', ..] => Some(5_760),
        _ => Some(u16::MAX.into()),
    }
}

/// Whether samples are counted from the beginning of a file: what is cut out of a broadcast goes on counting from there. One that
/// begins a few packets late is not told from others.
fn begins_at_zero(bytes: &[u8], serial: u32, packet_samples_max: u64) -> bool {
    let (mut rest, mut n_packets) = (bytes, 0);
    // Headers are in pages up to whose end there are no samples.
    while let Some(page) = Page::read(rest).filter(|it| it.serial == serial) {
        n_packets += page.n_packets;
        if let Some(granule) = u64::try_from(page.granule).ok().filter(|it| *it != 0) {
            return granule <= n_packets * packet_samples_max;
        }
        rest = rest.get(page.n_bytes..).unwrap_or_default();
    }
    rest.is_empty()
}

/// The page that ends where the file does.
fn last_page(bytes: &[u8]) -> Option<Page<'_>> {
    let tail = bytes.get(bytes.len().saturating_sub(PAGE_BYTES_MAX)..)?;
    // What begins like a page inside of one does not end there, but by accident.
    let at = |at: &usize| tail.get(*at..).is_some_and(|it| it.starts_with(MAGIC));
    let page = |at: usize| Page::read(tail.get(at..)?).filter(|it| at + it.n_bytes == tail.len());
    (0..tail.len()).rev().filter(at).find_map(page)
}

impl<'a> Page<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let head = bytes.first_chunk::<27>()?;
        // There is one version.
        if !head.starts_with(MAGIC) || head[4] != 0 {
            return None;
        }
        let lengths = bytes.get(27..27 + usize::from(head[26]))?;
        let n_content: usize = lengths.iter().map(|it| usize::from(*it)).sum();
        let start = 27 + lengths.len();
        Some(Self {
            is_first: head[5] & 2 != 0,
            granule: i64::from_le_bytes(*head[6..].first_chunk()?),
            serial: u32::from_le_bytes(*head[14..].first_chunk()?),
            n_packets: lengths.iter().filter(|it| **it < 255).count() as u64,
            content: bytes.get(start..start + n_content)?,
            n_bytes: start + n_content,
        })
    }
}
