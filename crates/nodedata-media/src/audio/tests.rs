use super::*;

mod coding;
mod containers;
mod fuzz_smoke;
mod riff;

/// A WAV file of samples, of which the header tells a size.
fn wav(format: &[u8], data: &[u8], told: u32) -> Vec<u8> {
    let body = [b"WAVE".as_slice(), &chunk(b"fmt ", format), b"data", &told.to_le_bytes(), data].concat();
    [b"RIFF".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat()
}

fn chunk(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let padding = vec![0; content.len() % 2];
    [id.as_slice(), &(content.len() as u32).to_le_bytes(), content, &padding].concat()
}

/// The content of a `fmt ` chunk, with blocks of as many bytes as their samples have.
fn format(tag: u16, channels: u16, rate_hz: u32, bits: u16) -> Vec<u8> {
    let block = channels * bits.div_ceil(8);
    let rate_bytes = rate_hz.wrapping_mul(block.into());
    let (numbers, rates) = ([tag, channels], [rate_hz, rate_bytes]);
    let all = numbers.map(u16::to_le_bytes).into_iter().flatten();
    let all = all.chain(rates.map(u32::to_le_bytes).into_iter().flatten());
    all.chain([block, bits].map(u16::to_le_bytes).into_iter().flatten()).collect()
}

/// A sound file of whole numbers.
fn pcm(channels: u16, rate_hz: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    wav(&format(1, channels, rate_hz, bits), data, data.len() as u32)
}

/// Looks at a file and at all beginnings of it.
fn look(bytes: &[u8]) {
    for n_bytes in (0..bytes.len()).take(700) {
        audio_header(&bytes[..n_bytes]);
        drop(check_audio(&bytes[..n_bytes]));
    }
}

/// Holds the header of a file against rate, channels, bits and samples.
#[track_caller]
fn check(bytes: &[u8], codec: AudioCodec, told: (u32, u32, Option<u32>, Option<u64>)) {
    let (rate_hz, channels, bits, n_samples) = told;
    let header = audio_header(bytes);
    assert_eq!(header, Some(AudioHeader { codec, rate_hz, channels, bits, n_samples }));
    assert_eq!(header.map(|it| it.encoding()), crate::sniff_clip(bytes));
    look(bytes);
}

/// Why a file is none.
#[track_caller]
fn refused(bytes: &[u8]) -> String {
    check_audio(bytes).unwrap_err().chain()
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(nodedata_testkit::corpus::fixtures("audio").join(name)).unwrap()
}
