use std::collections::BTreeMap;

/// Values of which those used last are kept, as many as fit a number of bytes.
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    max_bytes: u64,
    n_bytes: u64,
    n_uses: u64,
    values: BTreeMap<K, Kept<V>>,
    /// By the number of the use, so that the first was used least lately.
    uses: BTreeMap<u64, K>,
}

#[derive(Debug)]
struct Kept<V> {
    value: V,
    n_bytes: u64,
    used: u64,
}

impl<K: Ord + Clone, V: Clone> Lru<K, V> {
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, n_bytes: 0, n_uses: 0, values: BTreeMap::new(), uses: BTreeMap::new() }
    }

    /// A value, which is now the one used last.
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        let kept = self.values.get_mut(key)?;
        self.n_uses += 1;
        if let Some(key) = self.uses.remove(&kept.used) {
            self.uses.insert(self.n_uses, key);
        }
        kept.used = self.n_uses;
        Some(kept.value.clone())
    }

    /// Whether there is such a value; it is not used by that.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.values.contains_key(key)
    }

    /// Keeps a value, in the place of the one of that key, and lets others go for it. One that alone is too large is not kept.
    pub(crate) fn put(&mut self, key: K, value: V, n_bytes: u64) {
        self.remove(&key);
        if self.max_bytes < n_bytes {
            return;
        }
        while self.max_bytes - n_bytes < self.n_bytes
            && let Some((_, oldest)) = self.uses.pop_first()
        {
            self.n_bytes -= self.values.remove(&oldest).map_or(0, |it| it.n_bytes);
        }
        self.n_uses += 1;
        self.n_bytes += n_bytes;
        self.uses.insert(self.n_uses, key.clone());
        self.values.insert(key, Kept { value, n_bytes, used: self.n_uses });
    }

    /// Lets a value go.
    pub(crate) fn remove(&mut self, key: &K) {
        if let Some(kept) = self.values.remove(key) {
            self.uses.remove(&kept.used);
            self.n_bytes -= kept.n_bytes;
        }
    }

    /// Bytes of all that is kept.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_least_lately_goes() {
        let mut lru = Lru::new(10);
        lru.put("a", 1, 4);
        lru.put("b", 2, 4);
        assert_eq!((lru.get(&"a"), lru.n_bytes()), (Some(1), 8));
        lru.put("c", 3, 4);
        assert_eq!((lru.get(&"b"), lru.get(&"a"), lru.get(&"c")), (None, Some(1), Some(3)));
        lru.put("a", 5, 6);
        assert_eq!((lru.get(&"a"), lru.get(&"c"), lru.n_bytes()), (Some(5), Some(3), 10));
        lru.put("d", 6, 11);
        assert_eq!((lru.has(&"d"), lru.n_bytes()), (false, 10), "nothing goes for what is too large");
        lru.put("c", 7, 10);
        assert_eq!((lru.has(&"a"), lru.get(&"c"), lru.n_bytes()), (false, Some(7), 10));
        lru.remove(&"c");
        assert_eq!((lru.has(&"c"), lru.n_bytes(), lru.uses.len()), (false, 0, 0));
    }
}
