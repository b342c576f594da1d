//! A small mp4 writer: one H.264 track whose samples are noise, for what never decodes them.

use std::io::{self, Write};

use crate::bench::noise::Noise;

/// Pixels in a row, as the decoder configuration says.
pub(super) const WIDTH: u16 = 640;
/// Rows, as the decoder configuration says.
pub(super) const HEIGHT: u16 = 480;
/// A key frame comes every so many frames, as LeRobot sets it.
pub(super) const KEYFRAME_EVERY: usize = 2;

/// What x264 wrote for 640×480 at 30 Hz with `-g 2`: version 1, High, lengths of four bytes, one SPS, one PPS.
const AVC_CONFIG: [u8; 46] = [
    0x01, 0x64, 0x00, 0x1e, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xe4, 0x02, 0x80, 0xf6,
    0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x58, 0xb4, 0x48, 0x01,
    0x00, 0x06, 0x68, 0xeb, 0xe1, 0x12, 0xc8, 0xb0, 0xfd, 0xf8, 0xf8, 0x00,
];

/// Ticks of a frame; the clock has as many ticks a second as frames take.
const FRAME_TICKS: u32 = 512;
const CHUNK_SAMPLES: usize = 64;
/// Length in front of a NAL unit and the unit's first byte.
pub(super) const SAMPLE_BYTES_MIN: u32 = 8;

/// Writes a video with samples of `sizes` bytes, the tables in front as LeRobot's `+faststart` puts them.
///
/// # Errors
/// When `target` cannot be written.
pub(super) fn write(
    target: &mut impl Write,
    sizes: &[u32],
    rate_hz: u32,
    noise: &mut Noise,
) -> io::Result<()> {
    let ftyp = boxed(b"ftyp", &[b"isom", &512_u32.to_be_bytes(), b"isomiso2avc1mp41"]);
    // Offsets have one width, so the first `moov` has the size of the second.
    let n_before = (ftyp.len() + moov(sizes, rate_hz, 0).len() + MDAT_HEADER_BYTES) as u64;
    target.write_all(&ftyp)?;
    target.write_all(&moov(sizes, rate_hz, n_before))?;
    let n_bytes: u64 = sizes.iter().map(|it| u64::from(*it)).sum();
    target.write_all(&1_u32.to_be_bytes())?;
    target.write_all(b"mdat")?;
    target.write_all(&(n_bytes + MDAT_HEADER_BYTES as u64).to_be_bytes())?;
    let mut sample = Vec::new();
    for (idx, n_bytes) in sizes.iter().enumerate() {
        sample.clear();
        sample.extend_from_slice(&(n_bytes - 4).to_be_bytes());
        sample.push(if is_keyframe(idx) { 0x65 } else { 0x41 });
        while sample.len() < *n_bytes as usize {
            sample.extend_from_slice(&noise.next().to_le_bytes());
        }
        target.write_all(&sample[..*n_bytes as usize])?;
    }
    Ok(())
}

/// With the 64-bit size that a large video needs.
const MDAT_HEADER_BYTES: usize = 16;

/// Whether a sample can be decoded without those before it.
pub(super) fn is_keyframe(idx: usize) -> bool {
    idx.is_multiple_of(KEYFRAME_EVERY)
}

fn moov(sizes: &[u32], rate_hz: u32, first_offset: u64) -> Vec<u8> {
    let clock = be(&[rate_hz * FRAME_TICKS, sizes.len() as u32 * FRAME_TICKS]);
    let matrix = be(&[0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000]);
    let after_clock = [&be(&[0x1_0000, 0x0100_0000, 0, 0])[..], &matrix, &[0; 24], &be(&[2])].concat();
    let mvhd = full(b"mvhd", 0, &[&[0; 8], &clock, &after_clock]);
    let size = be(&[u32::from(WIDTH) << 16, u32::from(HEIGHT) << 16]);
    let duration = be(&[sizes.len() as u32 * FRAME_TICKS]);
    let tkhd = full(b"tkhd", 3, &[&[0; 8], &be(&[1, 0]), &duration, &[0; 8], &[0; 8], &matrix, &size]);
    let mdhd = full(b"mdhd", 0, &[&[0; 8], &clock, &[0x55, 0xc4, 0, 0]]);
    let hdlr = full(b"hdlr", 0, &[&[0; 4], b"vide", &[0; 12], b"VideoHandler\0"]);
    let vmhd = full(b"vmhd", 1, &[&[0; 8]]);
    let dref = full(b"dref", 0, &[&be(&[1]), &full(b"url ", 1, &[])]);
    let minf = boxed(b"minf", &[&vmhd, &boxed(b"dinf", &[&dref]), &stbl(sizes, first_offset)]);
    let mdia = boxed(b"mdia", &[&mdhd, &hdlr, &minf]);
    boxed(b"moov", &[&mvhd, &boxed(b"trak", &[&tkhd, &mdia])])
}

/// The sample tables.
fn stbl(sizes: &[u32], first_offset: u64) -> Vec<u8> {
    let n_samples = sizes.len() as u32;
    let resolution = be(&[0x48_0000, 0x48_0000, 0]);
    let avc1 = boxed(
        b"avc1",
        &[
            &[0, 0, 0, 0, 0, 0, 0, 1],
            &[0; 16],
            &WIDTH.to_be_bytes(),
            &HEIGHT.to_be_bytes(),
            &resolution,
            &1_u16.to_be_bytes(),
            &[0; 32],
            &[0, 24, 0xff, 0xff],
            &boxed(b"avcC", &[&AVC_CONFIG]),
        ],
    );
    let stsd = full(b"stsd", 0, &[&be(&[1]), &avc1]);
    let stts = full(b"stts", 0, &[&be(&[1, n_samples, FRAME_TICKS])]);
    let keyframes: Vec<u32> =
        (0..n_samples).filter(|it| is_keyframe(*it as usize)).map(|it| it + 1).collect();
    let stss = full(b"stss", 0, &[&be(&[keyframes.len() as u32]), &be(&keyframes)]);
    let (n_whole, rest) = (sizes.len() / CHUNK_SAMPLES, sizes.len() % CHUNK_SAMPLES);
    let mut runs = Vec::new();
    if n_whole > 0 {
        runs.extend([1, CHUNK_SAMPLES as u32, 1]);
    }
    if rest > 0 {
        runs.extend([n_whole as u32 + 1, rest as u32, 1]);
    }
    let stsc = full(b"stsc", 0, &[&be(&[runs.len() as u32 / 3]), &be(&runs)]);
    let stsz = full(b"stsz", 0, &[&be(&[0, n_samples]), &be(sizes)]);
    let mut offsets = Vec::new();
    let mut offset = first_offset;
    for chunk in sizes.chunks(CHUNK_SAMPLES) {
        offsets.extend_from_slice(&offset.to_be_bytes());
        offset += chunk.iter().map(|it| u64::from(*it)).sum::<u64>();
    }
    let co64 = full(b"co64", 0, &[&be(&[(offsets.len() / 8) as u32]), &offsets]);
    boxed(b"stbl", &[&stsd, &stts, &stss, &stsc, &stsz, &co64])
}

/// A box: its length, its type, its parts.
fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let n_bytes = 8 + parts.iter().map(|it| it.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(n_bytes);
    bytes.extend_from_slice(&(n_bytes as u32).to_be_bytes());
    bytes.extend_from_slice(kind);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// A box that starts with version 0 and flags.
fn full(kind: &[u8; 4], flags: u32, parts: &[&[u8]]) -> Vec<u8> {
    boxed(kind, &[&[&flags.to_be_bytes()[..]][..], parts].concat())
}

fn be(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|it| it.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payload of the first box of a kind, wherever it lies.
    fn find<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> &'a [u8] {
        let at = bytes.windows(4).position(|it| it == kind).unwrap();
        let n_bytes = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
        &bytes[at + 4..at - 4 + n_bytes]
    }

    #[test]
    fn chunks_start_with_the_samples_that_the_tables_count() {
        let sizes: Vec<u32> = (0..130).map(|it| 20 + it).collect();
        let mut video = Vec::new();
        write(&mut video, &sizes, 30, &mut Noise::new(1)).unwrap();
        let offsets = &find(&video, b"co64")[8..];
        assert_eq!(offsets.len(), 3 * 8);
        for (chunk, offset) in offsets.chunks(8).enumerate() {
            let offset = u64::from_be_bytes(offset.try_into().unwrap()) as usize;
            let first = u32::from_be_bytes(video[offset..offset + 4].try_into().unwrap());
            assert_eq!(first + 4, sizes[chunk * CHUNK_SAMPLES]);
            assert_eq!(video[offset + 4], 0x65);
        }
        let mdat = video.windows(4).position(|it| it == b"mdat").unwrap();
        assert_eq!(video.len() - (mdat + 12), sizes.iter().sum::<u32>() as usize);
        assert_eq!(find(&video, b"stsc")[4..8], [0, 0, 0, 2]);
    }
}
