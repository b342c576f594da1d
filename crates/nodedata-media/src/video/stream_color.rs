//! What the sequence parameter sets of H.264 and H.265 say about color and size.

use rust_h264::nal::{parse_avcc, parse_sps_info};

use crate::VideoCodec;

/// How luma and chroma are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Color {
    /// Whether luma uses all values.
    pub(super) full_range: bool,
    /// `MatrixCoefficients` of ITU-T H.273; 2 is unspecified.
    pub(super) matrix: u8,
    /// Whether the planes are green, blue and red themselves.
    pub(super) is_rgb: bool,
    /// Whether an H.264 stream has no chroma, for which FFmpeg makes planes of one value.
    pub(super) filled_chroma: bool,
    /// Of a frame, before it is cropped; 0 is unknown.
    pub(super) coded_pixels: u64,
}

impl Default for Color {
    fn default() -> Self {
        Self { full_range: false, matrix: 2, is_rgb: false, filled_chroma: false, coded_pixels: 0 }
    }
}

/// The color of the last sequence parameter set among `units`; unspecified where none tells.
pub(super) fn of_parameter_sets(codec: VideoCodec, units: &[&[u8]]) -> Color {
    units.iter().rev().find_map(|unit| of_unit(codec, unit)).unwrap_or_default()
}

/// The color that a NAL unit tells, if it is a sequence parameter set.
pub(super) fn of_unit(codec: VideoCodec, unit: &[u8]) -> Option<Color> {
    match codec {
        VideoCodec::H264 => of_h264(unit),
        VideoCodec::H265 => h265_sps::color(unit),
        _ => None,
    }
}

fn of_h264(unit: &[u8]) -> Option<Color> {
    let prefixed = [&(unit.len() as u32).to_be_bytes(), unit].concat();
    let info = parse_sps_info(parse_avcc(&prefixed, 4).first()?).ok()?;
    Some(Color {
        full_range: info.full_range,
        matrix: info.matrix,
        is_rgb: info.matrix == 0 && info.chroma_format == 3,
        filled_chroma: info.chroma_format == 0,
        coded_pixels: u64::from(info.coded_width) * u64::from(info.coded_height),
    })
}

mod h265_sps {
    use super::Color;

    const SPS: u8 = 33;

    /// Reads a sequence parameter set (ITU-T H.265, 7.3.2.2) up to the color description of its VUI.
    pub(super) fn color(unit: &[u8]) -> Option<Color> {
        if unit.first()? >> 1 & 0x3f != SPS {
            return None;
        }
        let bytes = without_emulation_prevention(unit.get(2..)?);
        let mut bits = Bits { bytes: &bytes, at: 0 };
        let Head { max_sub_layers, has_full_chroma, coded_pixels } = read_to_coding_blocks(&mut bits)?;
        skip_to_vui(&mut bits, max_sub_layers)?;
        let mut color = Color { coded_pixels, ..Color::default() };
        if !bits.flag()? {
            return Some(color);
        }
        if bits.flag()? && bits.read(8)? == 255 {
            bits.skip(32)?;
        }
        if bits.flag()? {
            bits.skip(1)?;
        }
        if bits.flag()? {
            bits.skip(3)?;
            color.full_range = bits.flag()?;
            if bits.flag()? {
                bits.skip(16)?;
                color.matrix = bits.read(8)? as u8;
                color.is_rgb = color.matrix == 0 && has_full_chroma;
            }
        }
        Some(color)
    }

    /// What stands in front of the coding blocks.
    struct Head {
        max_sub_layers: u32,
        /// Whether there is a chroma sample for each pixel.
        has_full_chroma: bool,
        coded_pixels: u64,
    }

    /// Profile, size, depth and sub-layers.
    fn read_to_coding_blocks(bits: &mut Bits<'_>) -> Option<Head> {
        bits.skip(4)?;
        let max_sub_layers = bits.read(3)?;
        bits.skip(1)?;
        bits.skip(88 + 8)?;
        let present: Vec<(bool, bool)> =
            (0..max_sub_layers).map(|_| Some((bits.flag()?, bits.flag()?))).collect::<Option<_>>()?;
        if max_sub_layers > 0 {
            bits.skip(2 * (8 - max_sub_layers as usize))?;
        }
        for (profile, level) in present {
            bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
        }
        bits.exp_golomb()?;
        let has_full_chroma = bits.exp_golomb()? == 3;
        if has_full_chroma {
            bits.skip(1)?;
        }
        let coded_pixels = u64::from(bits.exp_golomb()?) * u64::from(bits.exp_golomb()?);
        if bits.flag()? {
            bits.skip_exp_golombs(4)?;
        }
        bits.skip_exp_golombs(2)?;
        Some(Head { max_sub_layers, has_full_chroma, coded_pixels })
    }

    /// Coding blocks, scaling lists, reference picture sets.
    fn skip_to_vui(bits: &mut Bits<'_>, max_sub_layers: u32) -> Option<()> {
        let order_count_bits = bits.exp_golomb()? + 4;
        let n_layers = if bits.flag()? { max_sub_layers + 1 } else { 1 };
        bits.skip_exp_golombs(3 * n_layers)?;
        bits.skip_exp_golombs(6)?;
        if bits.flag()? && bits.flag()? {
            skip_scaling_lists(bits)?;
        }
        bits.skip(2)?;
        if bits.flag()? {
            bits.skip(8)?;
            bits.skip_exp_golombs(2)?;
            bits.skip(1)?;
        }
        skip_reference_sets(bits)?;
        if bits.flag()? {
            for _ in 0..bits.exp_golomb()?.min(33) {
                bits.skip(order_count_bits as usize + 1)?;
            }
        }
        bits.skip(2)
    }

    fn skip_scaling_lists(bits: &mut Bits<'_>) -> Option<()> {
        for size in 0..4u32 {
            for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
                if !bits.flag()? {
                    bits.exp_golomb()?;
                    continue;
                }
                let n_coefficients = 64.min(1 << (4 + (size << 1)));
                bits.skip_exp_golombs(n_coefficients + u32::from(size > 1))?;
            }
        }
        Some(())
    }

    fn skip_reference_sets(bits: &mut Bits<'_>) -> Option<()> {
        let n_sets = bits.exp_golomb().filter(|it| *it <= 64)?;
        // Pictures of the set before, which the next may be coded against.
        let mut n_before = 0u32;
        for set in 0..n_sets {
            if set > 0 && bits.flag()? {
                bits.skip(1)?;
                bits.exp_golomb()?;
                let mut n_pictures = 0;
                for _ in 0..=n_before {
                    // used_by_curr_pic, and use_delta only where that is not set.
                    let kept = bits.flag()? || bits.flag()?;
                    n_pictures += u32::from(kept);
                }
                n_before = n_pictures;
            } else {
                let (negative, positive) = (bits.exp_golomb()?, bits.exp_golomb()?);
                n_before = negative.checked_add(positive).filter(|it| *it <= 32)?;
                for _ in 0..n_before {
                    bits.exp_golomb()?;
                    bits.skip(1)?;
                }
            }
        }
        Some(())
    }

    fn without_emulation_prevention(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut n_zeros = 0;
        for &byte in bytes {
            if n_zeros >= 2 && byte == 3 {
                n_zeros = 0;
                continue;
            }
            n_zeros = if byte == 0 { n_zeros + 1 } else { 0 };
            out.push(byte);
        }
        out
    }

    struct Bits<'a> {
        bytes: &'a [u8],
        at: usize,
    }

    impl Bits<'_> {
        fn flag(&mut self) -> Option<bool> {
            let byte = self.bytes.get(self.at / 8)?;
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(bit == 1)
        }

        fn read(&mut self, n_bits: u32) -> Option<u32> {
            (0..n_bits).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
        }

        fn skip(&mut self, n_bits: usize) -> Option<()> {
            self.at = self.at.checked_add(n_bits).filter(|it| *it <= 8 * self.bytes.len())?;
            Some(())
        }

        fn exp_golomb(&mut self) -> Option<u32> {
            let mut n_zeros = 0;
            while !self.flag()? {
                n_zeros += 1;
                if n_zeros > 31 {
                    return None;
                }
            }
            Some((1 << n_zeros) - 1 + self.read(n_zeros)?)
        }

        fn skip_exp_golombs(&mut self, count: u32) -> Option<()> {
            (0..count).try_for_each(|_| self.exp_golomb().map(drop))
        }
    }
}
