//! `wstring`: no two middlewares write it alike, and nothing in a recording says which one did.

use nodedata_core::LeafId;

use crate::{
    decode::{Decoder, Fault, What},
    sink::Sink,
};

/// What the number in front of a wide text counts, and how wide its UTF-16 units are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitWidth {
    /// Units of 2 bytes: Fast CDR 2 and later.
    Two,
    /// Units of 4 bytes: Fast CDR 1, Cyclone DDS with XCDR1.
    Four,
    /// Bytes, in units of 2: XTypes 1.3.
    TwoCountedInBytes,
}

impl UnitWidth {
    /// In the order they are tried: for every payload the same one, so that results never depend on
    /// which payload a worker saw before.
    pub(crate) const ALL: [Self; 3] = [Self::Two, Self::Four, Self::TwoCountedInBytes];
}

impl<S: Sink> Decoder<'_, S> {
    pub(crate) fn wide_text<const BIG: bool>(
        &mut self,
        op: usize,
        pos: usize,
        leaf: LeafId,
    ) -> Result<usize, Fault> {
        let (n, pos) = self.u32::<BIG>(op, pos)?;
        let n_bytes = match self.unit_width {
            UnitWidth::Two => (n as usize).saturating_mul(2),
            UnitWidth::Four => (n as usize).saturating_mul(4),
            UnitWidth::TwoCountedInBytes => n as usize,
        };
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let bytes = self.slice(op, pos, n_bytes)?;
        let reading = match self.unit_width {
            UnitWidth::Four => {
                let units = bytes.as_chunks::<4>().0.iter();
                let units =
                    units.map(|it| if BIG { u32::from_be_bytes(*it) } else { u32::from_le_bytes(*it) });
                match units.clone().all(|it| it <= 0x10_ffff) {
                    true => append(&mut text, units.flat_map(utf16)),
                    false => Reading::Foreign,
                }
            }
            UnitWidth::Two | UnitWidth::TwoCountedInBytes => {
                let (units, rest) = bytes.as_chunks::<2>();
                let units = units
                    .iter()
                    .map(|it| if BIG { u16::from_be_bytes(*it) } else { u16::from_le_bytes(*it) });
                if rest.is_empty() { append(&mut text, units) } else { Reading::Foreign }
            }
        };
        match reading {
            Reading::Text => {}
            Reading::Unpaired if S::MEASURES => self.n_odd_texts += 1,
            Reading::Unpaired | Reading::Foreign => {
                return Err(Fault { op, at: pos, what: What::NotUtf16 });
            }
        }
        self.sink.bytes(leaf, text.as_bytes());
        self.text = text;
        Ok(pos + n_bytes)
    }
}

/// What units of some width are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// A text.
    Text,
    /// One but for surrogates that lack their other half.
    Unpaired,
    /// Nothing that a text has at this width.
    Foreign,
}

/// Appends UTF-16. A NUL is refused: read at the wrong width, nearly every text has one.
fn append(text: &mut String, units: impl Iterator<Item = u16>) -> Reading {
    let mut reading = Reading::Text;
    for it in char::decode_utf16(units) {
        match it {
            Ok('\0') => return Reading::Foreign,
            Ok(it) => text.push(it),
            Err(_) => reading = Reading::Unpaired,
        }
    }
    reading
}

/// One unit of 4 bytes: a UTF-16 unit or, from writers with a 32-bit `wchar_t`, a whole character.
fn utf16(unit: u32) -> impl Iterator<Item = u16> {
    let above = unit.checked_sub(0x1_0000);
    let first = above.map_or(unit as u16, |it| 0xd800 | (it >> 10) as u16);
    let second = above.map(|it| 0xdc00 | (it & 0x3ff) as u16);
    std::iter::once(first).chain(second)
}
