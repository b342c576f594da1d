use nodedata_testkit::corpus;

use super::*;

/// A FLAC file without a frame.
fn flac(rate_hz: u64, channels: u64, bits: u64, n_samples: u64) -> Vec<u8> {
    let packed = rate_hz << 44 | (channels - 1) << 41 | (bits - 1) << 36 | n_samples;
    let blocks = [0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0];
    [b"fLaC\x80\0\0\x22".as_slice(), &blocks, &packed.to_be_bytes(), &[0; 16]].concat()
}

#[test]
fn flac_says_everything_in_its_first_block() {
    check(&flac(44_100, 2, 16, 1_000), AudioCodec::Flac, (44_100, 2, Some(16), Some(1_000)));
    check(
        &flac(655_350, 8, 32, (1 << 36) - 1),
        AudioCodec::Flac,
        (655_350, 8, Some(32), Some((1 << 36) - 1)),
    );
    check(&flac(1, 1, 4, 0), AudioCodec::Flac, (1, 1, Some(4), None));
    assert_eq!(audio_header(&flac(0, 1, 16, 9)), None);
    assert_eq!(audio_header(&flac(1, 1, 8, 9)).unwrap().dtype(), Some(DType::Int8));
    // As many samples as that have no shape.
    assert_eq!(audio_header(&flac(1, 1, 8, 1 << 32)).unwrap().shape(), None);
    let mut other = flac(44_100, 2, 16, 1_000);
    other[4] = 4;
    assert_eq!(audio_header(&other), None);
    // Behind the tag of another format.
    let tagged = [b"ID3\x03\0\0\0\0\0\x02ab".to_vec(), flac(44_100, 2, 16, 1_000)].concat();
    check(&tagged, AudioCodec::Flac, (44_100, 2, Some(16), Some(1_000)));
    check(&fixture("tone.flac"), AudioCodec::Flac, (16_000, 2, Some(16), Some(1_600)));
    assert!(check_audio(&fixture("tone.flac")).unwrap());
}

/// Frames of layer III that hold nothing: 128 kbit/s, 44,100 samples a second, two channels.
fn frames(n: usize) -> Vec<u8> {
    let mut frame = vec![0; 417];
    frame[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x64]);
    frame.repeat(n)
}

#[test]
fn mp3_frames_are_counted_where_no_table_tells() {
    let told = (44_100, 2, None, Some(3 * 1152));
    check(&frames(3), AudioCodec::Mp3, told);
    let mut tag = b"TAG".to_vec();
    tag.resize(128, b' ');
    check(&[frames(3), tag].concat(), AudioCodec::Mp3, told);
    // Its size is 257 in seven bits a byte.
    let tag = [b"ID3\x04\0\0\0\0\x02\x01".to_vec(), vec![0xff; 257]].concat();
    check(&[tag.clone(), frames(3)].concat(), AudioCodec::Mp3, told);
    check(&[tag.clone(), vec![0; 1000], frames(3)].concat(), AudioCodec::Mp3, told);
    // The last frame is cut, or something else is behind it.
    check(&frames(3)[..1000], AudioCodec::Mp3, (44_100, 2, None, None));
    check(&[frames(3), b"????".to_vec()].concat(), AudioCodec::Mp3, (44_100, 2, None, None));
    // Nothing that one of its kind follows is a frame.
    assert_eq!(audio_header(&frames(1)[..416]), None);
    assert_eq!(audio_header(&[tag.clone(), vec![0; 2000]].concat()), None);
    assert_eq!(audio_header(&tag[..200]), None);
}

#[test]
fn mp3_tables_tell_frames_and_what_an_encoder_added() {
    let table = |id: &[u8], flags: u32, writer: &[u8], added: &[u8; 3]| {
        let mut file = frames(4);
        let fields = [flags, 3].map(u32::to_be_bytes).concat();
        let with = [id, &fields].concat();
        file[36..36 + with.len()].copy_from_slice(&with);
        file[156..156 + writer.len()].copy_from_slice(writer);
        file[177..180].copy_from_slice(added);
        file
    };
    // 576 at the beginning and 1000 at the end.
    let added = &[0x24, 0x03, 0xe8];
    let told = |n| (44_100, 2, None, n);
    check(&table(b"Xing", 15, b"LAME3.100", added), AudioCodec::Mp3, told(Some(3 * 1152 - 1576)));
    check(&table(b"Info", 15, b"Lavc60.31", added), AudioCodec::Mp3, told(Some(3 * 1152 - 1576)));
    check(&table(b"Info", 15, b"Nobody", added), AudioCodec::Mp3, told(Some(3 * 1152)));
    check(&table(b"Xing", 14, b"LAME3.100", added), AudioCodec::Mp3, told(None));
    check(&table(b"Xing", 15, b"LAME3.100", &[0xff; 3]), AudioCodec::Mp3, told(None));
    let mut other = frames(3);
    other[36..54].copy_from_slice(b"VBRI\0\x01\0\0\0\0\0\0\0\0\0\0\0\x02");
    check(&other, AudioCodec::Mp3, told(Some(2 * 1152)));
    // Fewer frames than it tells are there, and the last is cut.
    for n_bytes in [3 * 417, 4 * 417 - 1] {
        let cut = &table(b"Xing", 15, b"LAME3.100", added)[..n_bytes];
        check(cut, AudioCodec::Mp3, told(None));
    }
    // A length that is left open says nothing of what is behind: in the middle of something else it is no frame.
    let mut open = table(b"Xing", 15, b"LAME3.100", added);
    open[2] = 0;
    check(&open, AudioCodec::Mp3, told(Some(3 * 1152 - 1576)));
    let tag = b"ID3\x04\0\0\0\0\0\0";
    assert_eq!(audio_header(&[tag.as_slice(), &[0; 9], &[0xff, 0xfb, 0, 0x64], &[0; 500]].concat()), None);
    check(&fixture("tone.mp3"), AudioCodec::Mp3, (16_000, 1, None, Some(1_600)));
}

/// A page of Ogg.
fn page(flags: u8, granule: i64, serial: u32, content: &[u8]) -> Vec<u8> {
    let mut lengths = vec![255; content.len() / 255];
    lengths.push((content.len() % 255) as u8);
    let head =
        [b"OggS\0".as_slice(), &[flags], &granule.to_le_bytes(), &serial.to_le_bytes(), &[0; 8]].concat();
    [head, vec![lengths.len() as u8], lengths, content.to_vec()].concat()
}

fn opus(channels: u8) -> Vec<u8> {
    // 312 samples come before the clip, which was recorded at 16,000.
    [b"OpusHead\x01".as_slice(), &[channels], &312u16.to_le_bytes(), &16_000u32.to_le_bytes(), &[0; 3]]
        .concat()
}

fn vorbis(rate_hz: u32) -> Vec<u8> {
    [b"\x01vorbis\0\0\0\0\x02".as_slice(), &rate_hz.to_le_bytes(), &[0; 12], b"\xdd\x01"].concat()
}

#[test]
fn the_last_page_of_ogg_tells_how_many_samples_there_are() {
    let file =
        |first: &[u8], last: &[u8]| [page(2, 0, 7, first), page(0, -1, 7, &[9; 600]), last.to_vec()].concat();
    let last = page(4, 12_312, 7, &[9; 300]);
    check(&file(&opus(1), &last), AudioCodec::Opus, (48_000, 1, None, Some(12_000)));
    check(&file(&vorbis(44_100), &last), AudioCodec::Vorbis, (44_100, 2, None, Some(12_312)));
    // Cut, of another stream, in the middle of a packet, and with fewer samples than are left out.
    for last in [&last[..200], &page(4, 12_312, 8, b"x"), &page(0, -1, 7, b"x"), &page(4, 311, 7, b"x")] {
        check(&file(&opus(2), last), AudioCodec::Opus, (48_000, 2, None, None));
    }
    // Content that looks like a page, but ends elsewhere.
    let within = page(4, 12_312, 7, &[page(4, 5, 7, b"inside"), vec![0; 9]].concat());
    check(&file(&opus(1), &within), AudioCodec::Opus, (48_000, 1, None, Some(12_000)));
    // Cut out of a broadcast: so many samples three packets do not hold. And one without any.
    for first in [opus(1), vorbis(48_000)] {
        let late = audio_header(&file(&first, &page(4, 48_312, 7, b"x"))).unwrap();
        assert_eq!((late.rate_hz, late.n_samples), (48_000, None));
    }
    let empty = [page(2, 0, 7, &vorbis(44_100)), page(4, 0, 7, b"x")].concat();
    check(&empty, AudioCodec::Vorbis, (44_100, 2, None, Some(0)));
    let stream_info = &flac(44_100, 2, 16, 1_000)[..];
    let first = [b"\x7fFLAC\x01\0\0\x01".as_slice(), stream_info].concat();
    check(&file(&first, &last), AudioCodec::OggFlac, (44_100, 2, Some(16), Some(1_000)));
    for first in [opus(0), vorbis(0), b"Speex   ".to_vec(), vorbis(44_100)[..14].to_vec(), Vec::new()] {
        assert_eq!(audio_header(&file(&first, &last)), None, "{first:?}");
    }
    assert_eq!(audio_header(&page(0, 0, 7, &opus(1))), None);
    check(&fixture("tone.ogg"), AudioCodec::Vorbis, (16_000, 2, None, Some(1_600)));
    // At the rate that it decodes to.
    check(&fixture("tone.opus"), AudioCodec::Opus, (48_000, 1, None, Some(4_800)));
}

#[test]
fn clips_of_the_corpus_tell_what_libsndfile_decodes() {
    let Some(folder) = corpus::folder("episodes/public/hf_datasets") else { return };
    let file = |name: &str| std::fs::read(folder.join(name)).unwrap();
    check(&file("test_audio_16000.mp3"), AudioCodec::Mp3, (16_000, 2, None, Some(40_896)));
    check(&file("test_audio_48000.opus"), AudioCodec::Opus, (48_000, 1, None, Some(48_000)));
    assert_eq!(audio_header(&file("test_image_rgba.png")), None);
    assert_eq!(audio_header(&file("test_video_66x50.mov")), None);
}
