use serde::{Deserialize, Serialize};

use crate::digest::B3;

/// Leaves and inner nodes hash under contexts of their own, so that no node passes for a leaf.
const LEAF: &str = "nodedata provenance leaf v1";
const NODE: &str = "nodedata provenance node v1";

/// One step of the way from a leaf to the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MerkleStep {
    /// Where the other half stands.
    pub side: Side,
    /// Its hash.
    pub hash: B3,
}

/// Left or right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The other half comes first.
    Left,
    /// The other half comes second.
    Right,
}

/// The one hash that stands for all of `leaves`, in their order: of a tree whose left halves hold the
/// largest power of two below all. Of nothing, the hash of an empty leaf.
pub fn merkle_root(leaves: &[B3]) -> B3 {
    match split(leaves) {
        Some((left, right)) => node(&merkle_root(left), &merkle_root(right)),
        None => leaf(leaves.first()),
    }
}

/// What proves that leaf `idx` is one of `leaves`: the other halves from the bottom up. `None` when there is
/// no such leaf.
pub fn merkle_proof(leaves: &[B3], idx: usize) -> Option<Vec<MerkleStep>> {
    if idx >= leaves.len() {
        return None;
    }
    let Some((left, right)) = split(leaves) else { return Some(Vec::new()) };
    let (mut steps, last) = if idx < left.len() {
        (merkle_proof(left, idx)?, MerkleStep { side: Side::Right, hash: merkle_root(right) })
    } else {
        let steps = merkle_proof(right, idx - left.len())?;
        (steps, MerkleStep { side: Side::Left, hash: merkle_root(left) })
    };
    steps.push(last);
    Some(steps)
}

/// Whether `proof` leads from `leaf` to `root`.
pub fn verify_merkle_proof(root: &B3, proven: &B3, proof: &[MerkleStep]) -> bool {
    let reached = proof.iter().fold(leaf(Some(proven)), |at, step| match step.side {
        Side::Left => node(&step.hash, &at),
        Side::Right => node(&at, &step.hash),
    });
    reached == *root
}

fn split(leaves: &[B3]) -> Option<(&[B3], &[B3])> {
    (leaves.len() >= 2).then(|| leaves.split_at(leaves.len().next_power_of_two() / 2))
}

fn leaf(leaf: Option<&B3>) -> B3 {
    let mut hasher = blake3::Hasher::new_derive_key(LEAF);
    if let Some(leaf) = leaf {
        hasher.update(&leaf.0);
    }
    B3(*hasher.finalize().as_bytes())
}

fn node(left: &B3, right: &B3) -> B3 {
    let mut hasher = blake3::Hasher::new_derive_key(NODE);
    B3(*hasher.update(&left.0).update(&right.0).finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_is_proved_and_nothing_else_is() {
        for n_leaves in 1..20u8 {
            let leaves: Vec<B3> = (0..n_leaves).map(|it| B3::of(&[it])).collect();
            let root = merkle_root(&leaves);
            for (idx, leaf) in leaves.iter().enumerate() {
                let proof = merkle_proof(&leaves, idx).unwrap();
                assert!(verify_merkle_proof(&root, leaf, &proof));
                assert!(!verify_merkle_proof(&root, &B3::of(b"other"), &proof));
                let mut moved = leaves.clone();
                moved[idx] = B3::of(b"other");
                assert_ne!(merkle_root(&moved), root);
            }
            assert_eq!(merkle_proof(&leaves, leaves.len()), None);
            assert_ne!(merkle_root(&leaves[1..]), root);
        }
    }

    #[test]
    fn the_order_counts_and_a_node_is_no_leaf() {
        let [a, b] = [B3::of(b"a"), B3::of(b"b")];
        assert_ne!(merkle_root(&[a, b]), merkle_root(&[b, a]));
        assert_ne!(merkle_root(&[merkle_root(&[a, b])]), merkle_root(&[a, b]));
        assert_ne!(merkle_root(&[]), merkle_root(&[a]));
    }
}
