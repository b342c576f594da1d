use nodedata_core::ErrorKind;
use proptest::prelude::*;

use super::{super::decode::decode_flac, *};

/// The samples of a FLAC file, channels side by side.
fn decoded(flac: &[u8]) -> Vec<i32> {
    let mut samples = Vec::new();
    decode_flac(flac, |block| {
        for at in 0..block.duration() {
            samples.extend((0..block.channels()).map(|channel| block.sample(channel, at)));
        }
        Ok(())
    })
    .unwrap();
    samples
}

/// Samples as they lie in a WAV file.
fn stored(samples: &[i32], bits: u16) -> Vec<u8> {
    let bytes = |it: &i32| match bits {
        8 => vec![(it + 128) as u8],
        bits => it.to_le_bytes()[..usize::from(bits / 8)].to_vec(),
    };
    samples.iter().flat_map(bytes).collect()
}

/// Tones with a little noise in them, loud and short of the ends.
fn tones(channels: u16, bits: u16, n_samples: u32) -> Vec<i32> {
    let full = f64::from(1 << (bits - 1)) - 1.0;
    let value = |at: u32, channel: u16| {
        let phase = f64::from(at) * 0.02 * f64::from(channel + 1);
        let noise = f64::from(at.wrapping_mul(2_654_435_761) >> 24) / 256.0 - 0.5;
        ((phase.sin() * 0.8 + noise * 0.01) * full) as i32
    };
    (0..n_samples).flat_map(|at| (0..channels).map(move |channel| value(at, channel))).collect()
}

#[test]
fn wav_becomes_flac_and_comes_back() {
    for (channels, bits, rate_hz) in
        [(1, 16, 16_000), (2, 16, 44_100), (2, 24, 96_000), (1, 8, 8_000), (8, 16, 12_345)]
    {
        let samples = tones(channels, bits, 10_000);
        let wav = pcm(channels, rate_hz, bits, &stored(&samples, bits));
        let flac = wav_to_flac(&wav).unwrap();
        let told = (rate_hz, u32::from(channels), Some(u32::from(bits)), Some(10_000));
        let found = audio_header(&flac).unwrap();
        assert_eq!((found.rate_hz, found.channels, found.bits, found.n_samples), told);
        assert!(flac.len() < wav.len(), "{channels} × {bits}: {} of {}", flac.len(), wav.len());
        assert_eq!(decoded(&flac), samples);
        assert!(check_audio(&flac).unwrap());
        assert_eq!(wav_to_flac(&wav).unwrap(), flac);
    }
    // What there is of a file whose writer could not seek back.
    let streamed = wav(&format(1, 1, 8_000, 16), &stored(&[1, -2, 3], 16), u32::MAX);
    assert_eq!(decoded(&wav_to_flac(&streamed).unwrap()), [1, -2, 3]);
}

/// The last block may be of any length, and a file of none.
#[test]
fn short_files_are_sound() {
    for n_samples in [0, 1, 15, 16, 31, 64, 4_095, 4_096, 4_097, 8_193] {
        let samples = tones(2, 16, n_samples);
        let flac = wav_to_flac(&pcm(2, 16_000, 16, &stored(&samples, 16))).unwrap();
        assert_eq!(decoded(&flac), samples, "{n_samples}");
        // The least size of a block, of which the last one is none.
        assert_eq!(flac[8..12], [0x10, 0, 0x10, 0], "{n_samples}");
        // Frames of 0 bytes are ones of which nothing is known.
        assert_eq!(flac[12..18] == [0; 6], n_samples == 0, "{n_samples}");
    }
}

#[test]
fn extreme_samples_come_back() {
    for bits in [8, 16, 24] {
        let (least, most) = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
        let samples: Vec<i32> = (0..9_000).map(|it| if it % 3 == 0 { least } else { most }).collect();
        let flac = wav_to_flac(&pcm(2, 16_000, bits, &stored(&samples, bits))).unwrap();
        assert_eq!(decoded(&flac), samples, "{bits}");
    }
}

/// Differences of 65,560: where each takes as many bits, 4,095 of them take a little more than 2^28, where the encoder's count ends.
#[test]
fn loud_noise_is_no_larger_than_its_samples() {
    let samples: Vec<i32> = (0..8_192).map(|at| if at % 2 == 0 { 16_390 } else { -16_390 }).collect();
    let wav = pcm(1, 16_000, 16, &stored(&samples, 16));
    let flac = wav_to_flac(&wav).unwrap();
    assert!(flac.len() < wav.len() + 100, "{} of {}", flac.len(), wav.len());
    assert_eq!(decoded(&flac), samples);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_samples_come_back(
        channels in 1u16..=8,
        bytes in 1u16..=3,
        rate_hz in 1u32..=96_000,
        data in proptest::collection::vec(any::<u8>(), 0..20_000),
        quiet in any::<bool>(),
    ) {
        let block = usize::from(channels * bytes);
        let mut data = data;
        data.truncate(data.len() / block * block);
        if quiet {
            // Noise is stored as it is; what is like its neighbours is predicted.
            data.iter_mut().for_each(|it| *it &= 3);
        }
        let wav = pcm(channels, rate_hz, 8 * bytes, &data);
        let flac = wav_to_flac(&wav).unwrap();
        prop_assert_eq!(stored(&decoded(&flac), 8 * bytes), data);
        let (before, after) = (audio_header(&wav).unwrap(), audio_header(&flac).unwrap());
        prop_assert_eq!((before.rate_hz, before.channels, before.bits), (after.rate_hz, after.channels, after.bits));
    }
}

#[test]
fn what_cannot_be_coded_without_loss_is_refused() {
    let refused = |wav: &[u8]| {
        let err = wav_to_flac(wav).unwrap_err();
        (err.kind(), err.chain(), err.hint().map(str::to_owned))
    };
    let data = [7; 48];
    let (kind, message, hint) = refused(&wav(&format(3, 1, 16_000, 32), &data, 48));
    assert_eq!(
        (kind, message.as_str()),
        (ErrorKind::Unsupported, "the WAV file has floating point numbers of 32 bits")
    );
    assert!(hint.unwrap().contains("pcm_s24le"));
    for (file, expected) in [
        (pcm(1, 16_000, 32, &data), "whole numbers of 32 bits"),
        (pcm(12, 16_000, 16, &data), "12 channels"),
        (pcm(1, 192_000, 16, &data), "192000 samples a second"),
        (wav(&format(6, 1, 8_000, 8), &data, 48), "coded samples"),
    ] {
        let (kind, message, hint) = refused(&file);
        assert!(kind == ErrorKind::Unsupported && message.contains(expected) && hint.is_some(), "{message}");
    }
    assert_eq!(refused(b"OggS\0").0, ErrorKind::Unsupported);
    assert_eq!(refused(&wav(&format(1, 1, 16_000, 16), &data, 50)).0, ErrorKind::Corrupt);
    assert_eq!(refused(&wav(&format(1, 1, 16_000, 16), &data[1..], 47)).0, ErrorKind::Corrupt);
}

/// Writes another number of samples into the header of a FLAC file.
fn with_samples(flac: &[u8], n_samples: u32) -> Vec<u8> {
    let mut lying = flac.to_vec();
    lying[22..26].copy_from_slice(&n_samples.to_be_bytes());
    lying
}

#[test]
fn flac_is_held_against_what_its_header_says() {
    let samples = tones(2, 16, 9_000);
    let sound = wav_to_flac(&pcm(2, 16_000, 16, &stored(&samples, 16))).unwrap();
    assert_eq!(with_samples(&sound, 9_000), sound);
    for told in [1, 8_999, 9_001, u32::MAX] {
        let expected = format!(
            "the header says that each channel of the FLAC file has {told} samples, and 9000 are there"
        );
        assert_eq!(refused(&with_samples(&sound, told)), expected);
    }
    // None is told.
    assert!(check_audio(&with_samples(&sound, 0)).unwrap());
    let tagged = [b"ID3\x04\0\0\0\0\0\x02ab".to_vec(), sound.clone(), b"TAG".to_vec(), vec![0; 125]].concat();
    assert!(check_audio(&tagged).unwrap());

    assert!(refused(&sound[..sound.len() - 1]).starts_with("the FLAC file is damaged behind sample 8192"));
    assert!(refused(&sound[..50]).starts_with("the FLAC file is damaged behind sample 0"));
    // Tags that are none are no damage of the samples; blocks that are not all there are.
    let with_block = |block: &[u8]| {
        let mut file = [&sound[..42], block, &sound[42..]].concat();
        file[4] = 0;
        file
    };
    assert!(check_audio(&with_block(b"\x84\0\0\x03abc")).unwrap());
    assert!(refused(&with_block(b"\x84\xff\xff\xff")).contains("cut in front of its samples"));
    assert!(refused(&with_block(b"\xff\0\0\0")).contains("cut in front of its samples"));

    let mut flipped = sound.clone();
    let at = sound.len() / 2;
    flipped[at] ^= 1;
    assert!(refused(&flipped).starts_with("the FLAC file is damaged behind sample"), "{}", refused(&flipped));
    // Frames of one channel fewer than the header says.
    let mut fewer = sound.clone();
    fewer[20] |= 4;
    assert!(refused(&fewer).contains("the FLAC file has 4 channels, and behind sample 0 there are 2"));
    assert!(
        refused(&[sound, b"????".to_vec()].concat())
            .starts_with("the FLAC file is damaged behind sample 9000")
    );
}

/// The MD5 of samples of 8, 16 and 24 bits, with a sign, the channels side by side.
#[test]
fn flac_is_held_against_the_hash_of_its_samples() {
    for bits in [8, 16, 24] {
        let samples = tones(2, bits, 5_000);
        let sound = wav_to_flac(&pcm(2, 16_000, bits, &stored(&samples, bits))).unwrap();
        assert!(check_audio(&sound).unwrap());
        let mut lying = sound.clone();
        lying[26 + 15] ^= 1;
        let hash = |file: &[u8]| file[26..42].iter().map(|it| format!("{it:02x}")).collect::<String>();
        let expected = format!(
            "the header says that the samples of the FLAC file have the MD5 {}, and those that are there have {}",
            hash(&lying),
            hash(&sound)
        );
        assert_eq!(refused(&lying), expected, "{bits}");
        let err = flac_to_samples(&lying, usize::MAX).unwrap_err();
        assert_eq!((err.kind(), err.chain()), (ErrorKind::Corrupt, expected));
        // None is told.
        lying[26..42].fill(0);
        assert!(check_audio(&lying).unwrap());
    }
    // As others write it.
    let mut file = fixture("tone.flac");
    assert!(file[26..42] != [0; 16] && check_audio(&file).unwrap());
    file[26] ^= 0x80;
    assert!(refused(&file).contains("have the MD5"), "{}", refused(&file));
}
