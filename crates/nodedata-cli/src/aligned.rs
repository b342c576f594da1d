//! The system's allocator, with large aligned buffers placed by ourselves.
//!
//! Columns are aligned to 128 bytes. glibc makes room for a buffer and its alignment, and gives back what it did not need: small things
//! move in there, and once the buffer is freed the next of its size does not fit any more. Buffers of pictures, which are megabytes each
//! and all of one size, came to twice the memory that was in use. A piece that is asked for without alignment is one size, which is used
//! again, and it grows in place.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ptr,
};

/// The system's allocator.
pub(crate) struct Aligned;

/// What the system's allocator aligns every piece to.
const PIECE_ALIGN: usize = 16;
/// Buffers from here on are placed in a piece.
const LARGE_BYTES: usize = 64 << 10;

const _: () = assert!(size_of::<*mut u8>() <= PIECE_ALIGN, "a pointer lies before the buffer");

/// The piece that a buffer lies in: what is asked for instead of it. `None` for a buffer that is asked for as it is.
fn piece_of(buffer: Layout) -> Option<Layout> {
    if buffer.align() <= PIECE_ALIGN || buffer.size() < LARGE_BYTES {
        return None;
    }
    Layout::from_size_align(buffer.size().checked_add(buffer.align())?, PIECE_ALIGN).ok()
}

/// How far into its piece a buffer begins: at least [`PIECE_ALIGN`], because pieces are aligned to that.
fn offset_in(piece: *mut u8, align: usize) -> usize {
    align - piece.addr() % align
}

/// Where the buffer in a piece begins; the piece is noted before it.
///
/// # Safety
/// The piece is one that [`piece_of`] asks for, for a buffer of this alignment, or null.
#[expect(unsafe_code, reason = "an allocator cannot be put together without")]
unsafe fn place_in(piece: *mut u8, align: usize) -> *mut u8 {
    if piece.is_null() {
        return piece;
    }
    // SAFETY: the piece has room for the buffer behind up to `align` bytes, of which a pointer takes the last.
    unsafe {
        let buffer = piece.add(offset_in(piece, align));
        buffer.cast::<*mut u8>().sub(1).write(piece);
        buffer
    }
}

/// The piece of a buffer.
///
/// # Safety
/// The buffer is one that [`place_in`] placed.
#[expect(unsafe_code, reason = "an allocator cannot be put together without")]
unsafe fn piece_at(buffer: *mut u8) -> *mut u8 {
    // SAFETY: it was noted there.
    unsafe { buffer.cast::<*mut u8>().sub(1).read() }
}

#[expect(unsafe_code, reason = "an allocator cannot be put together without")]
// SAFETY: a buffer lies in a piece of the system's allocator that is as long as it and its alignment, or is one itself; which of
// them follows from its layout, that callers say each time.
unsafe impl GlobalAlloc for Aligned {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match piece_of(layout) {
            // SAFETY: the caller keeps the contract of `alloc`.
            None => unsafe { System.alloc(layout) },
            // SAFETY: a piece is longer than its buffer, which is not empty.
            Some(piece) => unsafe { place_in(System.alloc(piece), layout.align()) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match piece_of(layout) {
            // SAFETY: the caller keeps the contract of `alloc_zeroed`.
            None => unsafe { System.alloc_zeroed(layout) },
            // SAFETY: as in `alloc`; what is noted stands before the buffer.
            Some(piece) => unsafe { place_in(System.alloc_zeroed(piece), layout.align()) },
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        match piece_of(layout) {
            // SAFETY: the caller keeps the contract of `dealloc`.
            None => unsafe { System.dealloc(at, layout) },
            // SAFETY: the layout is that of `alloc`, which placed the buffer in such a piece.
            Some(piece) => unsafe { System.dealloc(piece_at(at), piece) },
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, n_bytes: usize) -> *mut u8 {
        // SAFETY: the caller says that the new size, rounded up to the alignment, is one of a layout.
        let new = unsafe { Layout::from_size_align_unchecked(n_bytes, layout.align()) };
        let n_kept = n_bytes.min(layout.size());
        match (piece_of(layout), piece_of(new)) {
            // SAFETY: the caller keeps the contract of `realloc`.
            (None, None) => unsafe { System.realloc(at, layout, n_bytes) },
            // SAFETY: the buffer lies in such a piece, and both pieces have room for what is kept at either place.
            (Some(old_piece), Some(new_piece)) => unsafe {
                let offset = offset_in(piece_at(at), layout.align());
                let piece = System.realloc(piece_at(at), old_piece, new_piece.size());
                if !piece.is_null() {
                    let new_offset = offset_in(piece, layout.align());
                    if new_offset != offset {
                        ptr::copy(piece.add(offset), piece.add(new_offset), n_kept);
                    }
                }
                place_in(piece, layout.align())
            },
            // SAFETY: the new buffer is another one, and both have as many bytes as are kept.
            (None, Some(_)) | (Some(_), None) => unsafe {
                let buffer = self.alloc(new);
                if !buffer.is_null() {
                    ptr::copy_nonoverlapping(at, buffer, n_kept);
                    self.dealloc(at, layout);
                }
                buffer
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer whose bytes tell where they are.
    struct Buffer {
        at: *mut u8,
        layout: Layout,
    }

    #[expect(unsafe_code, reason = "calls an allocator")]
    impl Buffer {
        fn new(n_bytes: usize, align: usize, zeroed: bool) -> Self {
            let layout = Layout::from_size_align(n_bytes, align).unwrap();
            // SAFETY: no test asks for nothing.
            let at = unsafe { if zeroed { Aligned.alloc_zeroed(layout) } else { Aligned.alloc(layout) } };
            let buffer = Self { at, layout };
            if zeroed {
                assert!(buffer.bytes().iter().all(|it| *it == 0), "{layout:?}");
            }
            buffer.fill();
            buffer
        }

        #[expect(clippy::mut_from_ref, reason = "a test has one at a time")]
        fn bytes(&self) -> &mut [u8] {
            assert!(
                !self.at.is_null() && self.at.addr().is_multiple_of(self.layout.align()),
                "{:?}",
                self.layout
            );
            // SAFETY: the buffer is ours and as long as its layout; it is filled or zeroed before it is read.
            unsafe { std::slice::from_raw_parts_mut(self.at, self.layout.size()) }
        }

        fn fill(&self) {
            self.bytes().iter_mut().enumerate().for_each(|(idx, it)| *it = byte(idx));
        }

        fn resize(&mut self, n_bytes: usize) {
            let n_kept = n_bytes.min(self.layout.size());
            // SAFETY: no test asks for nothing.
            self.at = unsafe { Aligned.realloc(self.at, self.layout, n_bytes) };
            self.layout = Layout::from_size_align(n_bytes, self.layout.align()).unwrap();
            let kept = &self.bytes()[..n_kept];
            assert!(kept.iter().enumerate().all(|(idx, it)| *it == byte(idx)), "{:?}", self.layout);
            self.fill();
        }
    }

    #[expect(unsafe_code, reason = "calls an allocator")]
    impl Drop for Buffer {
        fn drop(&mut self) {
            // SAFETY: the layout is that of the buffer.
            unsafe { Aligned.dealloc(self.at, self.layout) }
        }
    }

    fn byte(idx: usize) -> u8 {
        (idx ^ idx >> 8 ^ idx >> 16) as u8
    }

    const SIZES: [usize; 7] =
        [1, 64, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1, 3 * LARGE_BYTES, 1_000_003];

    #[test]
    fn buffers_are_aligned_and_their_own() {
        for zeroed in [false, true] {
            let all: Vec<Buffer> = [1, 16, 32, 128, 4096]
                .iter()
                .flat_map(|align| SIZES.map(|n_bytes| Buffer::new(n_bytes, *align, zeroed)))
                .collect();
            for buffer in &all {
                assert!(buffer.bytes().iter().enumerate().all(|(idx, it)| *it == byte(idx)));
            }
        }
    }

    #[test]
    fn a_buffer_keeps_its_bytes_when_it_gets_another_size() {
        for align in [16, 128, 4096] {
            for first in SIZES {
                let mut buffer = Buffer::new(first, align, false);
                // Others beside it, so that it cannot always stay.
                let mut others = Vec::new();
                for n_bytes in SIZES {
                    buffer.resize(n_bytes);
                    others.push(Buffer::new(LARGE_BYTES + 40 * others.len(), align, true));
                }
            }
        }
    }
}
