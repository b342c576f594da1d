use nodedata_testkit::skipped;

use super::*;

/// The program, from `NODEDATA_TEST_FFMPEG` or the PATH. Says so when a test must do without.
fn program() -> Option<PathBuf> {
    let program = std::env::var_os("NODEDATA_TEST_FFMPEG").map_or_else(|| "ffmpeg".into(), PathBuf::from);
    if h264_encoder(&program).is_ok() {
        return Some(program);
    }
    skipped("no `ffmpeg` program with libx264; put one on the PATH or name it in NODEDATA_TEST_FFMPEG");
    None
}

fn options(program: PathBuf, crf: u8, group: u32) -> H264Options {
    H264Options { crf, group, rate: "30".to_owned(), program }
}

fn picture(height: u32, width: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Decoded {
    let pixels = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
    let pixels = pixels.flat_map(|(row, column)| pixel(row, column)).collect();
    Decoded { height, width, channels: 3, dtype: DType::UInt8, pixels }
}

/// Red, green, blue, gray, yellow and white in fields of 32 pixels, and a stretch of grays that moves.
const COLORS: [[u8; 3]; 6] =
    [[200, 30, 30], [30, 200, 30], [30, 30, 200], [128, 128, 128], [200, 200, 20], [235, 235, 235]];

fn card(number: u32) -> Decoded {
    picture(64, 192, |row, column| match row {
        0..32 => COLORS[(column / 32) as usize],
        _ => [(column + 5 * number) as u8; 3],
    })
}

fn coded(pictures: &[Decoded], options: &H264Options) -> Vec<CodedPicture> {
    let mut encoder = H264Encoder::start(H264Size::of(&pictures[0]).unwrap(), options).unwrap();
    pictures.iter().for_each(|it| encoder.push(it).unwrap());
    encoder.finish().unwrap()
}

/// The pixel in the middle of a field of the card.
fn middle(pixels: &[u8], field: usize) -> &[u8] {
    let at = 3 * (16 * 192 + 32 * field + 16);
    &pixels[at..at + 3]
}

#[test]
fn planes_have_the_values_of_the_standard() {
    let mut planes = Vec::new();
    // Y, U and V of BT.601, limited range.
    for (pixel, yuv) in [
        ([0, 0, 0], [16, 128, 128]),
        ([255, 255, 255], [235, 128, 128]),
        ([255, 0, 0], [81, 90, 240]),
        ([0, 255, 0], [145, 54, 34]),
        ([0, 0, 255], [41, 240, 110]),
    ] {
        to_planes(&picture(2, 4, |_, _| pixel), &mut planes);
        assert_eq!(planes, [[yuv[0]; 8].as_slice(), &[yuv[1]; 2], &[yuv[2]; 2]].concat(), "{pixel:?}");
    }
    // Which four pixels share a colour: red at the left, blue at the right, twice as wide.
    let sides = picture(2, 4, |_, column| if column < 2 { [255, 0, 0] } else { [0, 0, 255] });
    to_planes(&sides, &mut planes);
    assert_eq!(planes, [81, 81, 41, 41, 81, 81, 41, 41, 90, 240, 240, 110]);
}

#[test]
fn pictures_that_cannot_be_coded_are_refused_with_the_next_step() {
    let refused = |picture: &Decoded| {
        let err = H264Size::of(picture).unwrap_err();
        (err.kind(), format!("{err}: {}", err.hint().unwrap_or_default()))
    };
    let (kind, told) = refused(&picture(3, 4, |_, _| [0; 3]));
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(told.contains("3 × 4") && told.contains("image/crop: {height: 2, width: 4}"), "{told}");
    for (channels, dtype) in [(1, DType::UInt8), (4, DType::UInt8), (1, DType::UInt16)] {
        let pixels = vec![0; 4 * channels as usize * dtype.byte_width().unwrap()];
        let (kind, told) = refused(&Decoded { height: 2, width: 2, channels, dtype, pixels });
        assert_eq!(kind, ErrorKind::Unsupported);
        assert!(told.contains(&format!("{channels} channels of {dtype}")) && told.contains("png"), "{told}");
    }
    let huge = Decoded { height: 8192, width: 8192, pixels: Vec::new(), ..picture(2, 2, |_, _| [0; 3]) };
    assert_eq!(refused(&huge).0, ErrorKind::Limit);
    let short = Decoded { pixels: vec![0; 11], ..picture(2, 2, |_, _| [0; 3]) };
    assert_eq!(refused(&short).0, ErrorKind::Corrupt);
}

#[test]
fn groups_are_as_long_as_they_are_said_to_be() {
    let Some(program) = program() else { return };
    let cards: Vec<Decoded> = (0..7).map(card).collect();
    for group in [1, 2, 3, 1000] {
        let options = options(program.clone(), 23, group);
        let pictures = coded(&cards, &options);
        let keyframes: Vec<bool> = pictures.iter().map(|it| it.keyframe).collect();
        let expected: Vec<bool> = (0..7).map(|it| it % group == 0).collect();
        assert_eq!(keyframes, expected, "groups of {group}");
        // The same pictures give the same bytes.
        assert_eq!(coded(&cards, &options), pictures, "groups of {group}");
    }
    let one = coded(&cards[..1], &options(program, 23, 2));
    assert!(one.len() == 1 && one[0].keyframe);
}

#[cfg(feature = "video-decode")]
#[test]
fn colours_and_pictures_come_back_through_every_decoder() {
    use crate::video::{Backend, CodedSample, DecodeOptions, decode_frames};
    let Some(program) = program() else { return };
    let cards: Vec<Decoded> = (0..5).map(card).collect();
    let pictures = coded(&cards, &options(program.clone(), 10, 3));
    for backend in [Backend::BuiltIn, Backend::Ffmpeg, Backend::Auto] {
        let decoding =
            DecodeOptions { backend, in_order: true, ffmpeg: program.clone(), ..DecodeOptions::default() };
        // From the first key frame, and from the second alone.
        for from in [0, 3] {
            let samples = pictures.iter().enumerate().skip(from);
            let samples =
                samples.map(|(idx, it)| Ok(CodedSample { order: idx as i64, data: it.data.clone() }));
            let mut frames = Vec::new();
            decode_frames(VideoCodec::H264, &[], samples, 0..5, &decoding, |it| {
                frames.push(it.to_rgb());
                Ok(())
            })
            .unwrap();
            assert_eq!(frames.len(), 5 - from, "{backend:?}");
            for (card, frame) in cards[from..].iter().zip(&frames) {
                assert_eq!((frame.height, frame.width, frame.channels), (64, 192, 3));
                for (field, color) in COLORS.iter().enumerate() {
                    let found = middle(&frame.pixels, field);
                    let far = found.iter().zip(color).map(|(a, b)| a.abs_diff(*b)).max();
                    assert!(far <= Some(5), "{backend:?}: {color:?} became {found:?}");
                }
                let psnr = psnr(&card.pixels, &frame.pixels);
                assert!(psnr > 30.0, "{backend:?}: {psnr} dB");
            }
        }
    }
}

/// Peak signal to noise in decibels.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let mean = squares.sum::<f64>() / a.len() as f64;
    10.0 * (255.0 * 255.0 / mean.max(1e-9)).log10()
}

#[test]
fn a_program_that_is_not_there_or_cannot_is_told() {
    let err = h264_encoder(Path::new("/no/such/ffmpeg")).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Unsupported);
    assert!(err.to_string().contains("`/no/such/ffmpeg` does not run"), "{err}");
    assert!(err.hint().unwrap().contains("NODEDATA_FFMPEG"));
    let Some(program) = program() else { return };
    let told = h264_encoder(&program).unwrap();
    assert!(told.starts_with("FFmpeg ") && told.contains("x264 core "), "{told}");
    // It ends by itself, and says why.
    let wrong = H264Options { rate: "none".to_owned(), ..options(program, 23, 2) };
    let mut encoder = H264Encoder::start(H264Size { height: 64, width: 192 }, &wrong).unwrap();
    let pushed = (0..100).map(card).try_for_each(|it| encoder.push(&it));
    let err = match pushed {
        Err(err) => err,
        Ok(()) => encoder.finish().unwrap_err(),
    };
    assert_eq!(err.kind(), ErrorKind::Io);
    assert!(err.chain().contains("none"), "{}", err.chain());
}

#[test]
fn a_picture_of_another_size_is_refused_and_an_encoder_ends_with_its_value() {
    let Some(program) = program() else { return };
    let mut encoder =
        H264Encoder::start(H264Size { height: 64, width: 192 }, &options(program, 23, 2)).unwrap();
    encoder.push(&card(0)).unwrap();
    let err = encoder.push(&picture(64, 64, |_, _| [0; 3])).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::SchemaMismatch);
    assert!(err.to_string().contains("64 × 64") && err.to_string().contains("64 × 192"), "{err}");
    let process = PathBuf::from(format!("/proc/{}", encoder.program.id()));
    let is_there = process.exists();
    drop(encoder);
    if cfg!(target_os = "linux") {
        assert!(is_there && !process.exists(), "the program goes on");
    }
}
