use super::*;

#[test]
fn whole_and_other_numbers_tell_their_samples() {
    check(&pcm(2, 16_000, 16, &[7; 20]), AudioCodec::Pcm, (16_000, 2, Some(16), Some(5)));
    check(&pcm(1, 8_000, 8, &[7; 21]), AudioCodec::Pcm, (8_000, 1, Some(8), Some(21)));
    check(&pcm(1, 96_000, 32, &[7; 8]), AudioCodec::Pcm, (96_000, 1, Some(32), Some(2)));
    let float = wav(&format(3, 1, 48_000, 64), &[0; 16], 16);
    check(&float, AudioCodec::Float, (48_000, 1, Some(64), Some(2)));
    let law = wav(&format(7, 2, 8_000, 8), &[0; 16], 16);
    check(&law, AudioCodec::Companded, (8_000, 2, Some(8), Some(8)));
    // Blocks of ADPCM hold more samples than the header says.
    let adpcm = wav(&format(0x11, 1, 8_000, 4), &[0; 16], 16);
    check(&adpcm, AudioCodec::OtherWav(0x11), (8_000, 1, None, None));
    let types = [&float, &law, &adpcm].map(|it| audio_header(it).unwrap().dtype());
    assert_eq!(types, [Some(DType::Float64), Some(DType::Int16), None]);
    let types = [8, 12, 16, 24, 32].map(|bits| audio_header(&pcm(1, 1, bits, &[])).unwrap().dtype().unwrap());
    assert_eq!(types, [DType::UInt8, DType::Int16, DType::Int16, DType::Int32, DType::Int32]);
}

/// What an extensible format adds: bits that count, places of the channels, and an identifier.
fn extensible(id: &[u8; 16]) -> Vec<u8> {
    let plain = format(0xfffe, 1, 48_000, 24);
    [plain.as_slice(), &22u16.to_le_bytes(), &20u16.to_le_bytes(), &4u32.to_le_bytes(), id].concat()
}

#[test]
fn an_extensible_format_says_behind_the_others_what_it_is() {
    let id = b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71";
    let file = wav(&extensible(id), &[0; 9], 9);
    check(&file, AudioCodec::Pcm, (48_000, 1, Some(24), Some(3)));
    let other = wav(&extensible(b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x72"), &[0; 9], 9);
    check(&other, AudioCodec::OtherWav(0xfffe), (48_000, 1, None, None));
    let cut = wav(&format(0xfffe, 1, 48_000, 24), &[0; 9], 9);
    assert_eq!(audio_header(&cut), None);
}

#[test]
fn other_chunks_are_passed_over() {
    let body =
        [b"WAVE".as_slice(), &chunk(b"LIST", b"odd"), &chunk(b"fmt ", &format(1, 1, 8_000, 16))].concat();
    let body = [body, chunk(b"data", &[1; 6]), chunk(b"id3 ", &[0; 30])].concat();
    let file = [b"RIFF".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat();
    check(&file, AudioCodec::Pcm, (8_000, 1, Some(16), Some(3)));
    assert!(check_audio(&file).unwrap());
    // Samples before what they are.
    let body = [b"WAVE".to_vec(), chunk(b"data", &[1; 6]), chunk(b"fmt ", &format(1, 1, 8_000, 16))].concat();
    assert_eq!(audio_header(&[b"RIFF\0\0\0\0".to_vec(), body].concat()), None);
}

/// Whole numbers in more bytes than they need, of which no extensible format tells how they lie there.
#[test]
fn samples_that_lie_nobody_knows_how_are_told() {
    let padded = |tag: u16, bits: u16, held: u16| {
        let mut format = format(tag, 2, 48_000, bits);
        format[12..14].copy_from_slice(&(2 * held).to_le_bytes());
        wav(&format, &[0; 48], 48)
    };
    for (tag, bits, held) in [(1, 24, 4), (1, 20, 4), (1, 16, 4), (3, 24, 4), (3, 32, 8)] {
        let file = padded(tag, bits, held);
        check(&file, AudioCodec::OtherWav(tag), (48_000, 2, None, None));
        assert_eq!(audio_header(&file).unwrap().dtype(), None);
        let err = check_audio(&file).unwrap_err();
        let told = format!(
            "the WAV file has samples of {bits} bits in {held} bytes each, which readers understand differently"
        );
        assert_eq!((err.kind(), err.chain()), (nodedata_core::ErrorKind::Unsupported, told));
        let err = wav_to_flac(&file).unwrap_err();
        assert!(err.kind() == nodedata_core::ErrorKind::Unsupported && err.chain().contains("bytes each"));
    }
    // Fewer bytes than they need, and more than any number has, cannot be.
    assert_eq!(audio_header(&padded(1, 24, 2)), None);
    assert_eq!(audio_header(&padded(1, 24, 9)), None);
    // Filled up as the format says.
    let id = b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71";
    let mut format = extensible(id);
    format[12..16].copy_from_slice(&[4, 0, 32, 0]);
    check(&wav(&format, &[0; 12], 12), AudioCodec::Pcm, (48_000, 1, Some(32), Some(3)));
}

/// A long file: the sizes of 32 bits are all ones, and others stand in a chunk of their own.
fn rf64(told: u64, data: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = [0, told, 0].map(u64::to_le_bytes).concat();
    let sizes = chunk(b"ds64", &[sizes, vec![0; 4]].concat());
    let format = chunk(b"fmt ", &format(1, 2, 16_000, 16));
    [b"RF64\xff\xff\xff\xffWAVE".as_slice(), &sizes, &format, b"data\xff\xff\xff\xff", data].concat()
}

#[test]
fn long_files_say_their_size_elsewhere() {
    check(&rf64(12, &[1; 12]), AudioCodec::Pcm, (16_000, 2, Some(16), Some(3)));
    check(&rf64(1 << 40, &[1; 12]), AudioCodec::Pcm, (16_000, 2, Some(16), None));
    assert!(refused(&rf64(u64::MAX, &[1; 12])).contains("18446744073709551615 bytes of samples, and 12 are"));
    check(&fixture("tone.rf64.wav"), AudioCodec::Pcm, (16_000, 2, Some(16), Some(1600)));
    // The same under the name that broadcasters gave it.
    let mut broadcast = fixture("tone.rf64.wav");
    broadcast[..4].copy_from_slice(b"BW64");
    check(&broadcast, AudioCodec::Pcm, (16_000, 2, Some(16), Some(1600)));
    assert!(check_audio(&broadcast).unwrap());
    broadcast.truncate(broadcast.len() - 4);
    check(&broadcast, AudioCodec::Pcm, (16_000, 2, Some(16), None));
}

#[test]
fn sizes_that_lie_are_told() {
    let format = format(1, 2, 16_000, 16);
    let told = |told| wav(&format, &[7; 20], told);
    // What a writer leaves that cannot seek back: all that follows.
    check(&told(u32::MAX), AudioCodec::Pcm, (16_000, 2, Some(16), Some(5)));
    assert!(check_audio(&told(u32::MAX)).unwrap());
    check(&told(u32::MAX - 1), AudioCodec::Pcm, (16_000, 2, Some(16), None));
    assert_eq!(
        refused(&told(24)),
        "the header says that the WAV file has 24 bytes of samples, and 20 are there"
    );
    assert_eq!(
        refused(&wav(&format, &[7; 22], 22)),
        "the WAV file ends inside of a sample: 2 bytes are over"
    );
    // Nothing is known of it where nothing is known of the file, either; else it is empty.
    let mut unknown = told(0);
    check(&unknown, AudioCodec::Pcm, (16_000, 2, Some(16), Some(0)));
    unknown[4..8].fill(0);
    check(&unknown, AudioCodec::Pcm, (16_000, 2, Some(16), Some(5)));
}

#[test]
fn formats_that_cannot_be_are_none() {
    for (channels, rate_hz, bits) in [(0, 16_000, 16), (1, 0, 16), (1, 16_000, 0), (0, 0, 0), (1, 16_000, 65)]
    {
        let file = pcm(channels, rate_hz, bits, &[7; 20]);
        assert_eq!(audio_header(&file), None, "{channels} {rate_hz} {bits}");
        assert!(check_audio(&file).is_err(), "{channels} {rate_hz} {bits}");
    }
    // Blocks that are smaller than their samples.
    let mut format = format(1, 2, 16_000, 16);
    format[12] = 3;
    assert_eq!(audio_header(&wav(&format, &[7; 20], 20)), None);
    for file in [b"RIFF\x04\0\0\0WAVE".as_slice(), b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff\0\0"] {
        assert_eq!(audio_header(file), None);
        assert!(refused(file).contains("the header of the WAV file is cut"), "{}", refused(file));
    }
}
