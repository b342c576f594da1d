use serde::{Deserialize, Serialize};

/// How the rows of samples are dealt to splits: by the hash of what a row is known by, so that adding rows moves none. A
/// source of [`crate::StreamKind::Samples`] declares each file once for each split, as an episode that names it. Its text is
/// what recipes and what was learned have of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowDeal {
    /// Name and fraction of each split, in order; the fractions add up to 1.
    pub fractions: Vec<(String, f64)>,
    /// What is hashed.
    #[serde(rename = "field")]
    pub key: RowKey,
}

/// What the hash that deals a row is taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<String>", into = "Option<String>")]
pub enum RowKey {
    /// The row itself, or the key that its format gives it: rows that are the same stay together.
    Row,
    /// The value of a feature. A row without it is dealt by its own.
    Field(String),
}

impl From<Option<String>> for RowKey {
    fn from(field: Option<String>) -> Self {
        field.map_or(Self::Row, Self::Field)
    }
}

impl From<RowKey> for Option<String> {
    fn from(key: RowKey) -> Self {
        match key {
            RowKey::Row => None,
            RowKey::Field(name) => Some(name),
        }
    }
}

impl RowDeal {
    /// Position of the split of a row known by `key`.
    pub fn split_of(&self, key: &[u8]) -> usize {
        split_of(&self.fractions, key)
    }

    /// Position of the split of a record: by itself, or by the value of a field, which `value_of` finds. One without the
    /// field is dealt by itself.
    pub fn split_of_record(&self, record: &[u8], value_of: impl FnOnce(&str) -> Option<Vec<u8>>) -> usize {
        let value = match &self.key {
            RowKey::Row => None,
            RowKey::Field(name) => value_of(name),
        };
        self.split_of(value.as_deref().unwrap_or(record))
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

    #[test]
    fn a_record_without_the_field_is_dealt_by_itself() {
        let fractions = vec![("train".to_owned(), 0.5), ("val".to_owned(), 0.5)];
        let deal = RowDeal { fractions, key: RowKey::Field("id".to_owned()) };
        for n in 0..64u32 {
            let (record, value) = (n.to_le_bytes(), n.to_string().into_bytes());
            assert_eq!(deal.split_of_record(&record, |_| None), deal.split_of(&record));
            let by_value = deal.split_of_record(&record, |it| (it == "id").then(|| value.clone()));
            assert_eq!(by_value, deal.split_of(&value));
        }
    }
}
