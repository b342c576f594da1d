//! What the fuzz target `audio_header` does, for a few thousand seeded mutations of real clips.

use super::*;

#[test]
fn damaged_headers_are_read_without_a_panic() {
    let files = ["tone.flac", "tone.mp3", "tone.ogg", "tone.opus", "tone.rf64.wav"].map(fixture);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    for round in 0..4_000 {
        let mut file = files[round % files.len()].clone();
        // Most of what decides lies in front and behind.
        for _ in 0..=random(4) {
            let at = if random(2) == 0 { random(80) } else { random(file.len()) };
            file[at] = random(256) as u8;
        }
        file.truncate(if random(3) == 0 { random(file.len()) } else { file.len() });
        let told = audio_header(&file);
        assert!(told.is_none_or(|it| it.rate_hz != 0 && it.channels != 0), "{told:?}");
        let is_sound = check_audio(&file).is_ok();
        let samples = flac_to_samples(&file, 10_000);
        assert!(is_sound || samples.is_err(), "what is damaged has no samples");
        if round % 16 == 0 {
            drop(wav_to_flac(&file));
        }
    }
}
