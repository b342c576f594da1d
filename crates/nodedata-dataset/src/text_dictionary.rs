use std::{collections::HashMap, ops::Range};

use crate::rle::bit_width;

/// Texts that are looked for among the last before they are looked up.
const N_RECENT: usize = 64;

/// The texts of a column chunk, each once, numbered in the order in which they came.
pub(crate) struct Dictionary {
    /// The last text of each kind of [`kind`].
    recent: [u32; N_RECENT],
    numbers: HashMap<Box<[u8]>, u32>,
    /// Where each text lies in the page.
    places: Vec<Range<usize>>,
    page: Vec<u8>,
}

impl Default for Dictionary {
    fn default() -> Self {
        Self { recent: [0; N_RECENT], numbers: HashMap::new(), places: Vec::new(), page: Vec::new() }
    }
}

impl Dictionary {
    /// The number of a text.
    pub(crate) fn number(&mut self, text: &[u8]) -> u32 {
        let kind = kind(text);
        let recent = self.recent[kind];
        if self.places.get(recent as usize).is_some_and(|it| &self.page[it.clone()] == text) {
            return recent;
        }
        let number = match self.numbers.get(text) {
            Some(number) => *number,
            None => self.add(text),
        };
        self.recent[kind] = number;
        number
    }

    fn add(&mut self, text: &[u8]) -> u32 {
        // The writer leaves a dictionary of a page after the row that fills it, and a row has fewer texts.
        let number = self.places.len() as u32;
        self.numbers.insert(text.into(), number);
        put_text(text, &mut self.page);
        self.places.push(self.page.len() - text.len()..self.page.len());
        number
    }

    /// How many texts.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Bits of a number.
    pub(crate) fn width(&self) -> usize {
        bit_width(self.len().saturating_sub(1))
    }

    /// Bytes of some texts.
    pub(crate) fn n_bytes(&self, numbers: &[u32]) -> usize {
        numbers.iter().map(|it| self.places[*it as usize].len()).sum()
    }

    /// Bytes of the page that holds all texts.
    pub(crate) fn page_len(&self) -> usize {
        self.page.len()
    }

    /// The texts in their order.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|it| &self.page[it.clone()])
    }

    /// The page that holds all texts.
    pub(crate) fn into_page(self) -> Vec<u8> {
        self.page
    }
}

/// Tells most texts of a column apart by what names differ in: their length and their ends.
fn kind(text: &[u8]) -> usize {
    let at = |idx: usize| usize::from(text.get(idx).copied().unwrap_or(0));
    let n = text.len();
    (n ^ at(0) ^ at(n / 2) << 2 ^ at(n.wrapping_sub(1)) << 3 ^ at(n.wrapping_sub(2)) << 1) % N_RECENT
}

/// Bytes of a text's length before the text.
pub(crate) const PREFIX_BYTES: usize = size_of::<u32>();

/// Encodes a text as `PLAIN`.
pub(crate) fn put_text(text: &[u8], target: &mut Vec<u8>) {
    target.extend_from_slice(&(text.len() as u32).to_le_bytes());
    target.extend_from_slice(text);
}
