use super::*;
use crate::wav_to_flac;

/// A WAV file of 16 bits.
fn wav(channels: u16, rate_hz: u32, samples: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|it| it.to_le_bytes()).collect();
    let block = channels * 2;
    let format = [
        1_u16.to_le_bytes().as_slice(),
        &channels.to_le_bytes(),
        &rate_hz.to_le_bytes(),
        &(rate_hz * u32::from(block)).to_le_bytes(),
        &block.to_le_bytes(),
        &16_u16.to_le_bytes(),
    ]
    .concat();
    let chunk = |id: &[u8; 4], content: &[u8]| {
        [id.as_slice(), &(content.len() as u32).to_le_bytes(), content].concat()
    };
    let body = [b"WAVE".to_vec(), chunk(b"fmt ", &format), chunk(b"data", &data)].concat();
    chunk(b"RIFF", &body)
}

fn ramp(n_values: usize) -> Vec<i16> {
    (0..n_values).map(|it| (it * 37 % 65_521) as i16).collect()
}

#[test]
fn samples_are_those_of_the_file() {
    for (channels, n_samples) in [(1, 0), (1, 5), (2, 4_096), (3, 10_001)] {
        let samples = ramp(usize::from(channels) * n_samples);
        let flac = wav_to_flac(&wav(channels, 44_100, &samples)).unwrap();
        let found = flac_to_samples(&flac, samples.len()).unwrap();
        let values: Vec<i32> = samples.iter().map(|it| i32::from(*it)).collect();
        let expected = AudioSamples { rate_hz: 44_100, channels: channels.into(), bits: 16, values };
        assert!(found == expected, "{channels} channels of {n_samples}");
        assert_eq!(found.n_samples(), n_samples);
    }
}

#[test]
fn tags_of_mp3_files_around_it_change_nothing() {
    let flac = wav_to_flac(&wav(1, 8_000, &ramp(300))).unwrap();
    let mut tag = [0; 128];
    tag[..3].copy_from_slice(b"TAG");
    // Ten bytes of header for a body of five.
    let tagged = [b"ID3\x04\0\0\0\0\0\x05\0\0\0\0\0".as_slice(), &flac, &tag].concat();
    assert_eq!(flac_to_samples(&tagged, 300).unwrap(), flac_to_samples(&flac, 300).unwrap());
}

#[test]
fn more_samples_than_allowed_are_refused() {
    // Silence: hardly any bytes for each block.
    let flac = wav_to_flac(&wav(2, 16_000, &[0; 2 * 50_000])).unwrap();
    assert!(flac.len() < 2_000, "{}", flac.len());
    assert!(flac_to_samples(&flac, 2 * 50_000).is_ok());
    for n_values_max in [0, 1, 8_191, 2 * 50_000 - 1] {
        let err = flac_to_samples(&flac, n_values_max).unwrap_err();
        assert_eq!((err.kind(), err.hint().is_some()), (ErrorKind::Limit, true), "{n_values_max}");
    }
}

#[test]
fn damage_and_other_files_are_errors() {
    let flac = wav_to_flac(&wav(1, 16_000, &ramp(9_000))).unwrap();
    for n_bytes in [8, 41, 100, flac.len() - 1] {
        let err = flac_to_samples(&flac[..n_bytes], usize::MAX).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Corrupt, "{n_bytes}");
    }
    let mut flipped = flac.clone();
    flipped[flac.len() / 2] ^= 4;
    assert_eq!(flac_to_samples(&flipped, usize::MAX).unwrap_err().kind(), ErrorKind::Corrupt);
    // The last of 36 bits that tell how many samples there are.
    let mut more = flac;
    more[25] ^= 1;
    let err = flac_to_samples(&more, usize::MAX).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Corrupt);
    assert!(err.to_string().contains("9001 samples, and 9000 are there"), "{err}");
    for other in [b"plain text".as_slice(), &wav(1, 8_000, &[1, 2]), b""] {
        assert_eq!(flac_to_samples(other, usize::MAX).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
