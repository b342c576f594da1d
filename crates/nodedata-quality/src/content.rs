use std::collections::BTreeMap;

use crate::{Level, QualityFinding, Rule};

/// What each episode holds, as one hash over the hashes of its streams: 32 bytes an episode.
#[derive(Debug, Clone, Default)]
pub struct Contents(BTreeMap<u64, [u8; 32]>);

impl Contents {
    /// Adds the content hash of one stream of an episode, already bound to the stream's name.
    pub fn add(&mut self, episode: u64, content: [u8; 32]) {
        let sum = self.0.entry(episode).or_default();
        // Streams come in any order: their hashes are added, not chained.
        let mut carry = 0u16;
        for (byte, more) in sum.iter_mut().zip(content) {
            let total = u16::from(*byte) + u16::from(more) + carry;
            *byte = (total & 0xff) as u8;
            carry = total >> 8;
        }
    }

    /// Every episode that holds what an earlier one holds.
    pub fn findings(&self, level: Level) -> Vec<QualityFinding> {
        let mut first: BTreeMap<[u8; 32], u64> = BTreeMap::new();
        let mut findings = Vec::new();
        for (episode, content) in &self.0 {
            if let Some(earlier) = first.get(content) {
                let message = format!("has the content of episode {earlier}, row for row");
                findings.push(QualityFinding::new(Rule::DuplicateEpisode, level, *episode, message));
            } else {
                first.insert(*content, *episode);
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_are_found_in_whatever_order_their_streams_come() {
        let mut contents = Contents::default();
        for (episode, hashes) in
            [(0, [[1; 32], [200; 32]]), (1, [[2; 32], [3; 32]]), (2, [[200; 32], [1; 32]])]
        {
            for hash in hashes {
                contents.add(episode, hash);
            }
        }
        let findings = contents.findings(Level::Warn);
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].episode, findings[0].code), (2, "ND-Q011"));
        assert_eq!(findings[0].message, "has the content of episode 0, row for row");
    }
}
