/// How the rows of samples are dealt to splits: by the hash of what a row is known by, so that adding rows moves none. A
/// source of [`crate::StreamKind::Samples`] declares each file once for each split, as an episode that names it.
#[derive(Debug, Clone, PartialEq)]
pub struct RowDeal {
    /// Name and fraction of each split, in order; the fractions add up to 1.
    pub fractions: Vec<(String, f64)>,
    /// What is hashed.
    pub key: RowKey,
}

/// What the hash that deals a row is taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowKey {
    /// The row itself, or the key that its format gives it: rows that are the same stay together.
    Row,
    /// The value of a feature. A row without it is dealt by its own.
    Field(String),
}

impl RowDeal {
    /// Position of the split of a row known by `key`.
    pub fn split_of(&self, key: &[u8]) -> usize {
        split_of(&self.fractions, key)
    }
}

/// The split in whose part of 0..1 the hash of a key lies.
pub fn split_of(fractions: &[(String, f64)], key: &[u8]) -> usize {
    let hash = blake3::hash(key);
    let first: [u8; 8] = hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes");
    // 53 bits: what a float holds exactly, so that every machine draws the same line.
    let point = (u64::from_be_bytes(first) >> 11) as f64 / (1u64 << 53) as f64;
    let mut end = 0.0;
    for (idx, (_, fraction)) in fractions.iter().enumerate() {
        end += fraction;
        if point < end {
            return idx;
        }
    }
    fractions.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_dealt_by_what_they_are() {
        let fractions = vec![("train".to_owned(), 0.9), ("val".to_owned(), 0.1)];
        let deal = RowDeal { fractions, key: RowKey::Row };
        let n_val = (0..10_000u32).filter(|it| deal.split_of(&it.to_le_bytes()) == 1).count();
        assert!((900..1100).contains(&n_val), "{n_val}");
        assert_eq!(deal.split_of(b"a row"), deal.split_of(b"a row"));
    }
}
