use super::{Fixed, Readers};

/// Pairs of neighbours that are converted together. Such a pair shares its chroma where that is half as wide as luma.
const PAIRS: usize = 32;

/// One number of each pair.
type Lanes = [i16; PAIRS];

/// The factors, once for each lane. A factor that loops take from a variable is widened to 32 bits in front of them, and
/// with it each product; loaded beside its values it stays at 16, where the high half of a product is one instruction.
struct Factors {
    luma: Lanes,
    red_v: Lanes,
    blue_u: Lanes,
    green_u: Lanes,
    green_v: Lanes,
}

impl Factors {
    fn new(fixed: &Fixed) -> Self {
        Self {
            luma: [fixed.luma; PAIRS],
            red_v: [fixed.red_v; PAIRS],
            blue_u: [fixed.blue_u; PAIRS],
            green_u: [fixed.green_u; PAIRS],
            green_v: [fixed.green_v; PAIRS],
        }
    }
}

/// Planes of 8 bits with one chroma value for two columns, and for one or two rows.
pub(super) struct HalfChroma<'a> {
    pub(super) luma: &'a [u8],
    pub(super) u: &'a [u8],
    pub(super) v: &'a [u8],
    /// Pixels in a row, one at least.
    pub(super) width: usize,
    /// Rows that share a row of chroma, one at least.
    pub(super) shared_rows: usize,
}

/// Writes the pixels of a frame, three bytes each.
pub(super) fn convert(planes: &HalfChroma<'_>, fixed: &Fixed, readers: Readers, pixels: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    let n_done = super::avx2::convert_first(planes, fixed, readers, pixels);
    #[cfg(not(target_arch = "x86_64"))]
    let (n_done, _) = (0, readers);
    if n_done < planes.width {
        convert_from(n_done, planes, fixed, pixels);
    }
}

/// The same of the columns from an even one on.
pub(super) fn convert_from(first: usize, planes: &HalfChroma<'_>, fixed: &Fixed, pixels: &mut [u8]) {
    let &HalfChroma { luma, u, v, width, shared_rows } = planes;
    let factors = Factors::new(fixed);
    let mut strip = Strip::new(fixed.luma_offset);
    let chroma_width = width.div_ceil(2);
    let chroma_rows = u.chunks_exact(chroma_width).zip(v.chunks_exact(chroma_width));
    let rows = luma.chunks(shared_rows * width).zip(pixels.chunks_mut(3 * shared_rows * width));
    for ((luma, pixels), (u, v)) in rows.zip(chroma_rows) {
        let chroma = u[first / 2..].chunks(PAIRS).zip(v[first / 2..].chunks(PAIRS));
        for (idx, (u, v)) in chroma.enumerate() {
            strip.set_chroma(&factors, u, v);
            let start = first + 2 * PAIRS * idx;
            let columns = start..width.min(start + 2 * PAIRS);
            let rows = luma.chunks_exact(width).zip(pixels.chunks_exact_mut(3 * width));
            for (luma, pixels) in rows {
                strip.convert(
                    &factors,
                    &luma[columns.clone()],
                    &mut pixels[3 * columns.start..3 * columns.end],
                );
            }
        }
    }
}

/// A part of a row. Every loop over it has the one width of lane that its numbers need, so that the compiler makes
/// vectors of all of it; the numbers in between stay in the core's first cache.
struct Strip {
    luma_offset: i16,
    // What chroma adds to luma.
    red: Lanes,
    green: Lanes,
    blue: Lanes,
    // The six bytes of a pair, two by two.
    first: [u16; PAIRS],
    second: [u16; PAIRS],
    third: [u16; PAIRS],
    /// The first four of them.
    head: [u32; PAIRS],
}

impl Strip {
    fn new(luma_offset: i16) -> Self {
        let (lanes, words) = ([0; PAIRS], [0; PAIRS]);
        Self {
            luma_offset,
            red: lanes,
            green: lanes,
            blue: lanes,
            first: words,
            second: words,
            third: words,
            head: [0; PAIRS],
        }
    }

    /// Takes up to `PAIRS` values of each chroma plane.
    fn set_chroma(&mut self, factors: &Factors, u: &[u8], v: &[u8]) {
        match (u.first_chunk(), v.first_chunk()) {
            (Some(u), Some(v)) => self.set_whole_chroma(factors, u, v),
            _ => self.set_whole_chroma(factors, &padded(u), &padded(v)),
        }
    }

    fn set_whole_chroma(&mut self, factors: &Factors, u: &[u8; PAIRS], v: &[u8; PAIRS]) {
        for (idx, (u, v)) in u.iter().zip(v).enumerate() {
            let (u, v) = ((i16::from(*u) << 3) - (128 << 3), (i16::from(*v) << 3) - (128 << 3));
            self.red[idx] = high(v, factors.red_v[idx]);
            self.blue[idx] = high(u, factors.blue_u[idx]);
            self.green[idx] = high(u, factors.green_u[idx]) + high(v, factors.green_v[idx]);
        }
    }

    /// Converts up to `2 * PAIRS` pixels that have the chroma set before.
    fn convert(&mut self, factors: &Factors, luma: &[u8], pixels: &mut [u8]) {
        let (pairs, _) = luma.as_chunks::<2>();
        let (sixes, _) = pixels.as_chunks_mut::<6>();
        if let (Some(luma), Some(pixels)) = (pairs.first_chunk(), sixes.first_chunk_mut()) {
            self.convert_whole(factors, luma, pixels);
            return;
        }
        let mut whole = [[0; 6]; PAIRS];
        let luma: [u8; 2 * PAIRS] = padded(luma);
        if let Some(luma) = luma.as_chunks::<2>().0.first_chunk() {
            self.convert_whole(factors, luma, &mut whole);
        }
        pixels.copy_from_slice(&whole.as_flattened()[..pixels.len()]);
    }

    fn convert_whole(&mut self, factors: &Factors, luma: &[[u8; 2]; PAIRS], pixels: &mut [[u8; 6]; PAIRS]) {
        // Clamped to a byte, in one of 16 bits.
        let byte = |value: i16| value.clamp(0, 255) as u16;
        for (idx, pair) in luma.iter().enumerate() {
            let pair = u16::from_le_bytes(*pair);
            let scaled = |luma: u16| high((luma << 3) as i16 - self.luma_offset, factors.luma[idx]);
            let (left, right) = (scaled(pair & 0xff), scaled(pair >> 8));
            let (red, green, blue) = (self.red[idx], self.green[idx], self.blue[idx]);
            self.first[idx] = byte(left + red) | byte(left + green) << 8;
            self.second[idx] = byte(left + blue) | byte(right + red) << 8;
            self.third[idx] = byte(right + green) | byte(right + blue) << 8;
        }
        for ((head, first), second) in self.head.iter_mut().zip(&self.first).zip(&self.second) {
            *head = u32::from(*first) | u32::from(*second) << 16;
        }
        for ((six, head), third) in pixels.iter_mut().zip(&self.head).zip(&self.third) {
            let ([a, b, c, d], [e, f]) = (head.to_le_bytes(), third.to_le_bytes());
            *six = [a, b, c, d, e, f];
        }
    }
}

/// The high half of a product.
fn high(value: i16, factor: i16) -> i16 {
    ((i32::from(value) * i32::from(factor)) >> 16) as i16
}

/// `values` and zeros behind them.
fn padded<const N: usize>(values: &[u8]) -> [u8; N] {
    let mut all = [0; N];
    all[..values.len()].copy_from_slice(values);
    all
}
