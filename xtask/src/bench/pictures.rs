use super::noise::Noise;
use crate::workspace::Result;

/// Width of every picture, in pixels.
pub(super) const WIDTH: u16 = 640;
/// Height of every picture, in pixels.
pub(super) const HEIGHT: u16 = 480;

/// Quality of JPEG pictures, as cameras on robots have it.
const JPEG_QUALITY: u8 = 85;
/// Quality of photographs that people publish.
const PHOTO_QUALITY: u8 = 92;

/// An rgb8 picture, row by row: a moving gradient, blocks of noise, and a sensor's grain, so that
/// neither zstd nor JPEG finds more in it than in a real one.
fn rgb(seed: usize) -> Vec<u8> {
    const BLOCK: usize = 16;
    let (width, height) = (usize::from(WIDTH), usize::from(HEIGHT));
    let mut noise = Noise::new(seed as u64 + 1);
    let blocks: Vec<u8> =
        (0..(width / BLOCK) * (height / BLOCK)).map(|_| (noise.next() % 64) as u8).collect();
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let block = blocks[(y / BLOCK) * (width / BLOCK) + x / BLOCK];
            let grain = noise.next();
            for channel in 0..3 {
                let ramp = ((x * (channel + 1) + y + seed * 20) / 8 % 160) as u8;
                pixels.push(ramp + block + (grain >> (channel * 8) & 7) as u8);
            }
        }
    }
    pixels
}

/// Deviation of a camera's noise: what an 8 bit sensor has in a lit room.
const SENSOR_DEVIATION: f64 = 2.0;

/// An rgb8 picture of a lit table with balls on it, as a renderer shades them, seen by a sensor with noise.
fn rendered(seed: usize) -> Vec<u8> {
    const N_BALLS: usize = 6;
    let mut noise = Noise::new(seed as u64 + 1000);
    let balls: [[f64; 6]; N_BALLS] = std::array::from_fn(|_| std::array::from_fn(|_| noise.signed_unit()));
    let mut pixels = Vec::with_capacity(usize::from(WIDTH) * usize::from(HEIGHT) * 3);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let (x, y) = (f64::from(x) / f64::from(WIDTH), f64::from(y) / f64::from(HEIGHT));
            // A wall above a table, both darker to one side.
            let light = 0.55 + 0.35 * (1.0 - x) * y;
            let behind = if y < 0.35 { [170.0, 175.0, 180.0] } else { [150.0, 115.0, 80.0] };
            let mut color = behind.map(|it| it * light);
            for [ball_x, ball_y, radius, r, g, b] in balls {
                let (radius, dx) = (0.09 + 0.05 * radius, x - 0.5 - 0.4 * ball_x);
                // Pictures are wider than high.
                let dy = (y - 0.6 - 0.25 * ball_y) * f64::from(HEIGHT) / f64::from(WIDTH);
                let height = 1.0 - (dx * dx + dy * dy) / (radius * radius);
                if height > 0.0 {
                    // Lit from the upper left.
                    let shade = (0.35 + 0.65 * height.sqrt() - 0.3 * (dx + dy) / radius).clamp(0.1, 1.0);
                    color = [r, g, b].map(|it| (130.0 + 90.0 * it) * shade);
                }
            }
            pixels.extend(color.map(|it| (it + SENSOR_DEVIATION * noise.normal()).round() as u8));
        }
    }
    pixels
}

/// The camera's picture with a number; they repeat after [`N_RAW`].
pub(super) fn camera(frame: u64) -> Vec<u8> {
    rendered((frame % N_RAW) as usize)
}

/// The raw picture with a number; they repeat after [`N_RAW`].
pub(super) fn raw(frame: u64) -> Vec<u8> {
    rgb((frame % N_RAW) as usize)
}

/// How many different raw pictures there are: each is larger than half a chunk.
pub(super) const N_RAW: u64 = 16;
/// How many different JPEG pictures there are: more than fit into a chunk, or zstd would find them again.
pub(super) const N_JPEG: u64 = 128;

/// The picture with a number as baseline JPEG; they repeat after [`N_JPEG`].
///
/// # Errors
/// When the encoder refuses the picture.
pub(super) fn jpeg(frame: u64) -> Result<Vec<u8>> {
    encoded(frame, JPEG_QUALITY)
}

/// The same as sets of photographs have it: about 60 KB.
///
/// # Errors
/// When the encoder refuses the picture.
pub(super) fn photo(frame: u64) -> Result<Vec<u8>> {
    encoded(frame, PHOTO_QUALITY)
}

fn encoded(frame: u64, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    jpeg_encoder::Encoder::new(&mut bytes, quality)
        .encode(&rgb((frame % N_JPEG) as usize), WIDTH, HEIGHT, jpeg_encoder::ColorType::Rgb)
        .map_err(|err| format!("cannot encode a JPEG: {err}"))?;
    Ok(bytes)
}

/// A copy of `jpeg` that says in a comment segment which frame it is, so that no two frames are equal.
pub(super) fn stamp_jpeg(jpeg: &[u8], frame: u64, stamped: &mut Vec<u8>) {
    // Start of image, then COM with its length (which counts itself), then the rest.
    const START: usize = 2;
    stamped.clear();
    stamped.extend_from_slice(&jpeg[..START]);
    stamped.extend_from_slice(&[0xff, 0xfe, 0, 10]);
    stamped.extend_from_slice(&frame.to_be_bytes());
    stamped.extend_from_slice(&jpeg[START..]);
}

/// The raw picture with its rows rolled by so many as the frame's number says: a new picture without computing one.
pub(super) fn roll(picture: &[u8], frame: u64, rolled: &mut Vec<u8>) {
    let n_row_bytes = usize::from(WIDTH) * 3;
    let start = (frame % u64::from(HEIGHT)) as usize * n_row_bytes;
    rolled.clear();
    rolled.extend_from_slice(&picture[start..]);
    rolled.extend_from_slice(&picture[..start]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamped_jpeg_is_still_one() {
        let picture = jpeg(0).unwrap();
        let mut stamped = Vec::new();
        stamp_jpeg(&picture, 7, &mut stamped);
        assert_eq!(&stamped[..6], &[0xff, 0xd8, 0xff, 0xfe, 0, 10]);
        assert_eq!(stamped.len(), picture.len() + 12);
        assert_eq!(&stamped[stamped.len() - 2..], &[0xff, 0xd9]);
        assert_ne!(picture, jpeg(1).unwrap());
        assert!((45_000..75_000).contains(&photo(0).unwrap().len()));
    }

    #[test]
    fn raw_pictures_have_all_their_bytes() {
        assert_eq!(raw(3).len(), usize::from(WIDTH) * usize::from(HEIGHT) * 3);
        assert_eq!(camera(3).len(), usize::from(WIDTH) * usize::from(HEIGHT) * 3);
    }

    #[test]
    fn neighbours_in_a_camera_picture_differ_by_its_noise() {
        let picture = camera(0);
        assert_ne!(picture, camera(1));
        let differences = picture.iter().zip(&picture[3..]).map(|(a, b)| f64::from(*a) - f64::from(*b));
        let mut squares: Vec<f64> = differences.map(|it| it * it).collect();
        // The edges of things aside, neighbours are two samples of the same noise.
        squares.sort_unstable_by(f64::total_cmp);
        let inner = &squares[..squares.len() * 98 / 100];
        let deviation = (inner.iter().sum::<f64>() / inner.len() as f64 / 2.0).sqrt();
        assert!((1.6..2.2).contains(&deviation), "{deviation}");
    }
}
