//! Any bytes as a clip of sound: its header is read and, of FLAC and WAV, all else; whole numbers become FLAC.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nodedata_media::{audio_header, check_audio, flac_to_samples, wav_to_flac};

fuzz_target!(|bytes: &[u8]| {
    let header = audio_header(bytes);
    assert!(header.is_none_or(|it| it.rate_hz != 0 && it.channels != 0));
    // Damage is an error; only a crash of the process is a finding.
    let is_sound = check_audio(bytes).is_ok();
    if let Ok(samples) = flac_to_samples(bytes, 1 << 20) {
        assert!(is_sound && samples.values.len() <= 1 << 20);
    }
    if let Ok(flac) = wav_to_flac(bytes) {
        let coded = audio_header(&flac).expect("what was just written has a header");
        let rate_and_channels = header.map(|it| (it.rate_hz, it.channels));
        assert!(is_sound && rate_and_channels == Some((coded.rate_hz, coded.channels)));
    }
});
