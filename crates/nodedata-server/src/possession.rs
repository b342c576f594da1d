use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nodedata_registry::{
    B3,
    record::BlobRef,
    tree::{self, Cv},
};

use crate::refusal::{Answered, Refusal};

/// Blobs that are being shown at once.
const PROOFS_MAX: usize = 4096;
/// Chaining values that are kept for them: 64 MiB.
const CVS_MAX: usize = 2 << 20;

/// Blobs that are in the store already, but that a pusher must show all the same: whoever knows no more
/// than a digest (manifests of gated datasets are public) must not get the bytes by publishing it again.
#[derive(Debug, Default)]
pub(crate) struct Proofs(Mutex<BTreeMap<(String, B3), Proof>>);

#[derive(Debug, Default)]
struct Proof {
    parts: BTreeMap<u32, Vec<Cv>>,
}

impl Proofs {
    /// Parts that an account has shown.
    pub(crate) fn have(&self, account: &str, b3: &B3) -> Vec<u32> {
        let proofs = self.lock();
        proofs
            .get(&(account.to_owned(), *b3))
            .map(|it| it.parts.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Takes in a part.
    pub(crate) fn show(&self, account: &str, blob: &BlobRef, part: u32, bytes: &[u8]) -> Answered<()> {
        let range = tree::part_range(blob.bytes, part);
        if part >= tree::n_parts(blob.bytes) || bytes.len() as u64 != range.end - range.start {
            let message = format!("part {part} of {} has {} bytes", blob.b3, bytes.len());
            return Err(Refusal::new(422, "part-length", message, "send the part as it lies in the blob"));
        }
        let cvs = match tree::n_grains(blob.bytes) {
            // A single grain is the root itself.
            0 => vec![B3::of(bytes).0],
            _ => tree::grain_cvs(range.start, bytes),
        };
        let mut proofs = self.lock();
        let n_cvs: usize = proofs.values().flat_map(|it| it.parts.values()).map(Vec::len).sum();
        let key = (account.to_owned(), blob.b3);
        if n_cvs + cvs.len() > CVS_MAX || (proofs.len() >= PROOFS_MAX && !proofs.contains_key(&key)) {
            let mut refusal = Refusal::new(503, "busy", "too many blobs are being shown", "try again later");
            refusal.retry_after = Some(5);
            return Err(refusal);
        }
        proofs.entry(key).or_default().parts.insert(part, cvs);
        Ok(())
    }

    /// Whether the parts that an account has shown are the blob; they are forgotten either way.
    pub(crate) fn conclude(&self, account: &str, blob: &BlobRef) -> bool {
        let Some(proof) = self.lock().remove(&(account.to_owned(), blob.b3)) else { return false };
        if proof.parts.len() as u64 != u64::from(tree::n_parts(blob.bytes)) {
            return false;
        }
        let cvs = proof.parts.into_values().collect::<Vec<_>>().concat();
        match tree::fold_root(&cvs) {
            Some(root) => root == blob.b3,
            None => cvs.first() == Some(&blob.b3.0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, B3), Proof>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bytes_themselves_prove_a_blob() {
        for n_bytes in [0usize, 5, 300 << 10, (8 << 20) + 9] {
            let bytes: Vec<u8> = (0..n_bytes).map(|it| (it % 251) as u8).collect();
            let blob = BlobRef { b3: B3::of(&bytes), sha256: String::new(), bytes: n_bytes as u64 };
            let proofs = Proofs::default();
            assert!(!proofs.conclude("a", &blob));
            let parts: Vec<u32> = (0..tree::n_parts(blob.bytes)).rev().collect();
            let piece = |part: u32| {
                let range = tree::part_range(blob.bytes, part);
                bytes[range.start as usize..range.end as usize].to_vec()
            };
            for part in &parts {
                proofs.show("a", &blob, *part, &piece(*part)).unwrap();
            }
            assert!(!proofs.conclude("b", &blob), "another account has shown nothing");
            assert_eq!(proofs.have("a", &blob.b3).len(), parts.len());
            assert!(proofs.conclude("a", &blob), "{n_bytes} bytes");
            if n_bytes > 0 {
                for part in &parts {
                    let mut wrong = piece(*part);
                    wrong[0] ^= 1;
                    proofs.show("a", &blob, *part, &wrong).unwrap();
                }
                assert!(!proofs.conclude("a", &blob));
            }
        }
    }
}
