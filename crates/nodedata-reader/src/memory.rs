//! Memory that values are decoded into.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};

use crate::spare;

/// Bytes of values: in memory of their own, or in a part of one that they share with others beside them.
///
/// Parts are cut of one memory ([`Self::cut`]), written by whoever has them, also by several threads at a time, and joined again
/// ([`Self::append`]). Those that lie side by side are joined as they are: nothing is copied.
#[derive(Debug, Clone)]
pub struct Memory(Inner);

#[derive(Debug, Clone)]
enum Inner {
    Own(Vec<u8>),
    Part(BytesMut),
}

impl Memory {
    /// So many zeros, which cost nothing as long as nobody writes to them; `None` where there is no room for them.
    pub fn zeros(n_bytes: usize) -> Option<Self> {
        nodedata_io::zeros(n_bytes).map(Self::from)
    }

    /// So many bytes for whoever writes all of them: they hold anything, as what was let go of is used again. `None` where there is no room
    /// for them.
    pub fn to_fill(n_bytes: usize) -> Option<Self> {
        let spare = spare::take(n_bytes);
        #[cfg(not(debug_assertions))]
        let own = spare.or_else(|| nodedata_io::zeros(n_bytes));
        // Whoever leaves some of it out is found out.
        #[cfg(debug_assertions)]
        let own = spare.or_else(|| {
            let mut own = nodedata_io::zeros(n_bytes)?;
            own.fill(0xa5);
            Some(own)
        });
        own.map(Self::from)
    }

    /// Cuts it in two: what is behind the first so many bytes, or nothing where it has no more, and these.
    pub fn cut(self, at: usize) -> (Self, Self) {
        let mut part = match self.0 {
            // Taken over as it is.
            Inner::Own(own) => BytesMut::from(Bytes::from(own)),
            Inner::Part(part) => part,
        };
        let first = part.split_to(at.min(part.len()));
        (Self(Inner::Part(first)), Self(Inner::Part(part)))
    }

    /// All of these, one behind the other; `None` where there is no room for a copy of those that do not lie so.
    pub fn joined(parts: Vec<Self>) -> Option<Self> {
        let mut n_left: usize = parts.iter().map(|it| it.len()).sum();
        let mut whole = Self::default();
        for part in parts {
            n_left -= part.len();
            if !whole.append_of(part, n_left) {
                return None;
            }
        }
        Some(whole)
    }

    /// Adds what comes behind it. `false` where there is no room for it.
    #[must_use]
    pub fn append(&mut self, more: Self) -> bool {
        self.append_of(more, 0)
    }

    /// The same of what has so many bytes behind it that are to be added next.
    fn append_of(&mut self, more: Self, n_behind: usize) -> bool {
        if more.is_empty() {
            return true;
        }
        if self.is_empty() {
            // Of its own it may have room already.
            let has_room = matches!(&self.0, Inner::Own(own) if own.capacity() >= more.len());
            if !has_room || matches!(more.0, Inner::Part(_)) {
                *self = more;
                return true;
            }
        }
        let more = match (&mut self.0, more.0) {
            (Inner::Part(part), Inner::Part(more)) => match part.try_unsplit(more) {
                Ok(()) => return true,
                Err(more) => Inner::Part(more),
            },
            (_, more) => more,
        };
        let more = Self(more);
        let n_more = more.len().saturating_add(n_behind);
        let Some(mut own) = std::mem::take(self).into_own(n_more) else { return false };
        own.extend_from_slice(&more);
        *self = own.into();
        true
    }

    /// Adds bytes behind it, as to a vector.
    pub fn extend_from_slice(&mut self, more: &[u8]) {
        match &mut self.0 {
            Inner::Own(own) => own.extend_from_slice(more),
            Inner::Part(part) => part.extend_from_slice(more),
        }
    }

    /// Makes room for so many bytes behind it. `false` where there is none. What comes behind a part lies there already.
    #[must_use]
    pub fn reserve(&mut self, n_bytes: usize) -> bool {
        match &mut self.0 {
            Inner::Own(own) => own.try_reserve_exact(n_bytes).is_ok(),
            Inner::Part(_) => true,
        }
    }

    /// Its bytes as a vector: as they lie there, unless parts of the same memory are still in use elsewhere.
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Inner::Own(own) => own,
            Inner::Part(part) => part.into(),
        }
    }

    /// It as memory of its own with room for so many more; `None` where there is none.
    fn into_own(self, n_more: usize) -> Option<Vec<u8>> {
        match self.0 {
            Inner::Own(mut own) => own.try_reserve(n_more).is_ok().then_some(own),
            Inner::Part(part) => {
                let mut own = Vec::new();
                own.try_reserve_exact(part.len().checked_add(n_more)?).ok()?;
                own.extend_from_slice(&part);
                Some(own)
            }
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl From<Vec<u8>> for Memory {
    fn from(own: Vec<u8>) -> Self {
        Self(Inner::Own(own))
    }
}

impl FromIterator<u8> for Memory {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        bytes.into_iter().collect::<Vec<u8>>().into()
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Own(own) => own,
            Inner::Part(part) => part,
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Inner::Own(own) => own,
            Inner::Part(part) => part,
        }
    }
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Memory {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

/// Memory that is ready for the values of some fields, for one call each: as large as all rows that are decoded then, holding anything.
/// Whoever decodes takes it where it fits what comes out, and memory of its own where not, and writes all of it.
#[derive(Debug, Default)]
pub struct Rooms(Mutex<Vec<(Arc<str>, Memory)>>);

impl Rooms {
    /// Has memory ready for the values of a field.
    pub fn put(&self, field: &Arc<str>, memory: Memory) {
        self.all().push((Arc::clone(field), memory));
    }

    /// Takes what is ready for so many bytes of a field.
    pub fn take(&self, field: &str, n_bytes: usize) -> Option<Memory> {
        let mut all = self.all();
        let found = all.iter().position(|(name, memory)| **name == *field && memory.len() == n_bytes)?;
        Some(all.swap_remove(found).1)
    }

    fn all(&self) -> MutexGuard<'_, Vec<(Arc<str>, Memory)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts of 4 bytes each, in their order.
    fn parts(n: usize) -> (Vec<Memory>, *const u8) {
        let mut rest = Memory::zeros(4 * n).unwrap();
        let address = rest.as_ptr();
        let mut parts = Vec::new();
        for _ in 0..n {
            let (first, others) = rest.cut(4);
            parts.push(first);
            rest = others;
        }
        assert!(rest.is_empty());
        (parts, address)
    }

    #[test]
    fn parts_are_written_by_threads_and_joined_where_they_lie() {
        let (mut all, address) = parts(8);
        std::thread::scope(|scope| {
            for (part, value) in all.iter_mut().zip(1_u8..) {
                scope.spawn(move || part.fill(value));
            }
        });
        // Nothing between them parts them.
        all.insert(3, Memory::default());
        all.push(Memory::default());
        let whole = Memory::joined(all).unwrap().into_vec();
        assert_eq!(whole, (1_u8..9).flat_map(|it| [it; 4]).collect::<Vec<_>>());
        assert_eq!(whole.as_ptr(), address, "nothing was copied");
    }

    #[test]
    fn what_does_not_lie_side_by_side_is_copied() {
        let (mut all, address) = parts(3);
        let last = all.pop().unwrap();
        drop(all.pop());
        let mut first = all.pop().unwrap();
        first.fill(1);
        assert!(first.append(last) && first.append(vec![7, 8].into()));
        assert_eq!(first, [1, 1, 1, 1, 0, 0, 0, 0, 7, 8]);
        let first = first.into_vec();
        assert_ne!(first.as_ptr(), address);
        let mut own = Memory::from(vec![1, 2]);
        assert!(own.append(Memory::from(vec![3]).cut(1).0));
        assert_eq!(own, [1, 2, 3]);
        let mut whole = Memory::joined(vec![own, Memory::default(), vec![4].into()]).unwrap();
        whole.extend_from_slice(&[5]);
        assert_eq!(whole, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_part_that_others_share_becomes_a_vector_of_its_own() {
        let (mut all, address) = parts(2);
        let last = all.pop().unwrap();
        let first = all.pop().unwrap().into_vec();
        assert_ne!(first.as_ptr(), address);
        // The last one that is left takes all of the memory, whose beginning it is moved to.
        assert_eq!((first, last.into_vec()), (vec![0; 4], vec![0; 4]));
        let (first, rest) = Memory::from(vec![1, 2, 3]).cut(9);
        assert_eq!((first.into_vec(), rest.into_vec()), (vec![1, 2, 3], vec![]));
    }

    #[test]
    fn room_that_was_made_is_used() {
        let mut own = Memory::default();
        assert!(own.reserve(100));
        let address = own.as_ptr();
        assert!(own.append(vec![1; 60].into()) && own.append(vec![2; 40].into()));
        assert_eq!((own.len(), own.as_ptr()), (100, address));
        assert!(!Memory::default().reserve(usize::MAX) && Memory::zeros(usize::MAX).is_none());
    }

    #[test]
    fn rooms_are_taken_once_and_where_they_fit() {
        let (rooms, name): (Rooms, Arc<str>) = (Rooms::default(), "rgb".into());
        rooms.put(&name, vec![0; 6].into());
        assert!(rooms.take("rgb", 5).is_none() && rooms.take("depth", 6).is_none());
        assert_eq!(rooms.take("rgb", 6).map(|it| it.len()), Some(6));
        assert!(rooms.take("rgb", 6).is_none());
    }
}
