use super::noise::Noise;
use crate::workspace::Result;

/// Width of every picture, in pixels.
pub(super) const WIDTH: u16 = 640;
/// Height of every picture, in pixels.
pub(super) const HEIGHT: u16 = 480;

/// Quality of JPEG pictures, as cameras on robots have it.
const JPEG_QUALITY: u8 = 85;

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
    let mut bytes = Vec::new();
    jpeg_encoder::Encoder::new(&mut bytes, JPEG_QUALITY)
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
    }

    #[test]
    fn raw_pictures_have_all_their_bytes() {
        assert_eq!(raw(3).len(), usize::from(WIDTH) * usize::from(HEIGHT) * 3);
    }
}
