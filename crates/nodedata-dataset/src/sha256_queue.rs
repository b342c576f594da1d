use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
};

use sha2::{Digest as _, Sha256};

/// Pieces that may wait before whoever adds one hashes some of them.
const PIECES_AHEAD: usize = 8;
/// Bytes of a piece below which hashing it is not worth another thread.
const SMALL_PIECE: usize = 64 << 10;
/// Buffers kept for the next pieces: fresh memory costs more than hashing what is written to it.
const SPARE_MAX: usize = 16;

/// The SHA-256 of pieces in their order, made by whichever thread is free: it takes as long as everything else
/// that happens to them.
#[derive(Default)]
pub(crate) struct Sha256Queue {
    hasher: Mutex<Sha256>,
    waiting: Mutex<VecDeque<Arc<Piece>>>,
}

/// Some bytes of a file, in a buffer that is used again.
pub(crate) struct Piece {
    bytes: Vec<u8>,
    pieces: Arc<Pieces>,
}

/// Buffers for pieces, shared by the files of a dataset.
#[derive(Default)]
pub(crate) struct Pieces(Mutex<Vec<Vec<u8>>>);

impl Pieces {
    /// An empty buffer with room for a piece.
    pub(crate) fn buffer(&self, n_bytes: usize) -> Vec<u8> {
        lock(&self.0).pop().unwrap_or_else(|| Vec::with_capacity(n_bytes))
    }

    /// A piece whose buffer comes back here.
    pub(crate) fn piece(self: &Arc<Self>, bytes: Vec<u8>) -> Arc<Piece> {
        Arc::new(Piece { bytes, pieces: Arc::clone(self) })
    }
}

impl Piece {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut spare = lock(&self.pieces.0);
        if spare.len() < SPARE_MAX {
            let mut buffer = std::mem::take(&mut self.bytes);
            buffer.clear();
            spare.push(buffer);
        }
    }
}

impl Sha256Queue {
    /// Takes in the next piece.
    pub(crate) fn push(self: &Arc<Self>, piece: Arc<Piece>) {
        let is_small = piece.bytes().len() < SMALL_PIECE;
        let n_waiting = {
            let mut waiting = lock(&self.waiting);
            waiting.push_back(piece);
            waiting.len()
        };
        if is_small || n_waiting > PIECES_AHEAD {
            return self.work();
        }
        let queue = Arc::clone(self);
        rayon::spawn(move || queue.work());
    }

    /// Hashes what waits, unless another thread is at it.
    fn work(&self) {
        match self.hasher.try_lock() {
            Ok(hasher) => self.hash_waiting(hasher),
            Err(TryLockError::Poisoned(err)) => self.hash_waiting(err.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    fn hash_waiting(&self, mut hasher: MutexGuard<'_, Sha256>) {
        // In order, because a piece is taken by nobody but who holds the hasher.
        while let Some(piece) = self.next() {
            hasher.update(piece.bytes());
        }
    }

    fn next(&self) -> Option<Arc<Piece>> {
        lock(&self.waiting).pop_front()
    }

    /// The digest of all pieces.
    pub(crate) fn finish(&self) -> [u8; 32] {
        self.hash_waiting(lock(&self.hasher));
        lock(&self.hasher).finalize_reset().into()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_hashed_in_order_and_their_buffers_come_back() {
        let pieces = Arc::new(Pieces::default());
        for n_pieces in [0, 1, 100] {
            let queue = Arc::new(Sha256Queue::default());
            let mut expected = Sha256::new();
            for n in 0..n_pieces {
                let mut buffer = pieces.buffer(2 * SMALL_PIECE);
                assert!(buffer.is_empty());
                buffer.resize(n * 3700 % (2 * SMALL_PIECE), n as u8);
                expected.update(&buffer);
                queue.push(pieces.piece(buffer));
            }
            assert_eq!(queue.finish(), <[u8; 32]>::from(expected.finalize()), "{n_pieces}");
        }
        let n_spare = lock(&pieces.0).len();
        assert!((1..=SPARE_MAX).contains(&n_spare), "{n_spare}");
    }
}
