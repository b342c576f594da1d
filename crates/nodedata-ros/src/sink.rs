use nodedata_core::{Columns, LeafId, ListId};

/// Where decoded values go: columns, or nowhere while a payload is only measured.
pub(crate) trait Sink {
    /// Whether only sizes are asked for. The decoder then looks at what it skips, and a text may be none, where its end shows that
    /// it was meant as one: a row keeps such a message as it came.
    const MEASURES: bool = false;

    /// One value, little endian.
    fn one<const N: usize>(&mut self, leaf: LeafId, value: [u8; N]);
    /// Values as they lie in the payload, little endian.
    fn many(&mut self, leaf: LeafId, values: &[u8]);
    /// Big-endian values of `width` bytes.
    fn many_swapped(&mut self, leaf: LeafId, values: &[u8], width: usize);
    /// One text or one run of raw bytes.
    fn bytes(&mut self, leaf: LeafId, value: &[u8]);
    fn items(&mut self, list: ListId, n: usize);
    fn valid(&mut self, leaf: LeafId);
    fn null(&mut self, leaf: LeafId);
    fn null_list(&mut self, list: ListId);

    /// One list of texts again, if it is the same bytes as the last: see [`Columns::push_texts_again`].
    fn texts_again(&mut self, _: ListId, _: LeafId, _source: &[u8], _reading: u8) -> Option<usize> {
        None
    }

    fn remember_texts(&mut self, _: ListId, _: LeafId, _source: &[u8], _reading: u8) {}

    /// Whether a text is the last one again, and so is UTF-8.
    fn is_last_text(&self, _: LeafId, _: &[u8]) -> bool {
        false
    }
}

impl Sink for Columns {
    #[inline]
    fn one<const N: usize>(&mut self, leaf: LeafId, value: [u8; N]) {
        self.push_le(leaf, &value);
    }

    #[inline]
    fn many(&mut self, leaf: LeafId, values: &[u8]) {
        self.push_le(leaf, values);
    }

    fn many_swapped(&mut self, leaf: LeafId, values: &[u8], width: usize) {
        let target = self.push_zeroed(leaf, values.len());
        for (to, from) in target.chunks_exact_mut(width).zip(values.chunks_exact(width)) {
            to.copy_from_slice(from);
            to.reverse();
        }
    }

    #[inline]
    fn bytes(&mut self, leaf: LeafId, value: &[u8]) {
        self.push_bytes(leaf, value);
    }

    #[inline]
    fn items(&mut self, list: ListId, n: usize) {
        self.push_len(list, n);
    }

    fn valid(&mut self, leaf: LeafId) {
        self.push_valid(leaf);
    }

    fn null(&mut self, leaf: LeafId) {
        self.push_null(leaf);
    }

    fn null_list(&mut self, list: ListId) {
        self.push_null_list(list);
    }

    #[inline]
    fn texts_again(&mut self, list: ListId, leaf: LeafId, source: &[u8], reading: u8) -> Option<usize> {
        self.push_texts_again(list, leaf, source, reading)
    }

    fn remember_texts(&mut self, list: ListId, leaf: LeafId, source: &[u8], reading: u8) {
        Self::remember_texts(self, list, leaf, source, reading);
    }

    #[inline]
    fn is_last_text(&self, leaf: LeafId, value: &[u8]) -> bool {
        Self::is_last_text(self, leaf, value)
    }
}

/// Decodes without keeping anything, whatever texts say.
pub(crate) struct Nowhere;

impl Sink for Nowhere {
    const MEASURES: bool = true;

    fn one<const N: usize>(&mut self, _: LeafId, _: [u8; N]) {}
    fn many(&mut self, _: LeafId, _: &[u8]) {}
    fn many_swapped(&mut self, _: LeafId, _: &[u8], _: usize) {}
    fn bytes(&mut self, _: LeafId, _: &[u8]) {}
    fn items(&mut self, _: ListId, _: usize) {}
    fn valid(&mut self, _: LeafId) {}
    fn null(&mut self, _: LeafId) {}
    fn null_list(&mut self, _: ListId) {}
}
