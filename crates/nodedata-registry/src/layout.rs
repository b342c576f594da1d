//! Where what lies in a store: the same names in a directory, a bucket and behind a server.

use crate::{digest::B3, name::DatasetName};

/// Says which layout this is, and whether the store is safe to write to.
pub const MARKER: &str = "nodedata.json";
/// Folder of leases.
pub const LEASES: &str = "leases";
/// Folder of all blobs.
pub const BLOBS: &str = "blobs/b3";
/// Folder of all datasets.
pub const DATASETS: &str = "ds";
/// Folder of uploads under way: in a directory their bytes, in a bucket a note of each.
pub const UPLOADS: &str = "uploads";

/// A blob.
pub fn blob(b3: &B3) -> String {
    let hex = b3.hex();
    format!("{BLOBS}/{}/{}/{hex}", &hex[..2], &hex[2..4])
}

/// The tree beside a blob.
pub fn tree(b3: &B3) -> String {
    format!("{}.tree", blob(b3))
}

/// The blob that lies at a path; `None` for a tree, and for what is neither.
pub fn blob_at(path: &str) -> Option<B3> {
    let b3: B3 = path.rsplit('/').next()?.parse().ok()?;
    (blob(&b3) == path).then_some(b3)
}

/// Folder of a dataset.
pub fn dataset(name: &DatasetName) -> String {
    format!("{DATASETS}/{}/{}", name.owner(), name.name())
}

/// Folder of a dataset's log.
pub fn log(name: &DatasetName) -> String {
    format!("{}/log", dataset(name))
}

/// One record of a log. Fixed width, so that the order of names is that of numbers.
pub fn record(name: &DatasetName, seq: u64) -> String {
    format!("{}/{seq:020}.json", log(name))
}

/// The number of the record at a path.
pub fn seq_at(path: &str) -> Option<u64> {
    let digits = path.rsplit('/').next()?.strip_suffix(".json")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// Folder of the look-ups of a dataset's revisions.
pub fn revisions(name: &DatasetName) -> String {
    format!("{}/rev", dataset(name))
}

/// Look-up of a revision's record, derivable from the log.
pub fn revision(name: &DatasetName, version: &str) -> String {
    format!("{}/{version}.json", revisions(name))
}

/// The hint at the newest state.
pub fn head(name: &DatasetName) -> String {
    format!("{}/head.json", dataset(name))
}

/// What was noted of the last record, so that a change of it shows.
pub fn anchor(name: &DatasetName) -> String {
    format!("{}/tip.json", dataset(name))
}

/// Folder of a server that keeps grants for the store: what must outlive its database.
pub fn server(id: &str) -> String {
    format!("server/{id}")
}

/// The signed head of a server's audit log.
pub fn audit_head(id: &str) -> String {
    format!("{}/audit-head.json", server(id))
}

/// One thing that a server has taken back, in order.
pub fn revocation(id: &str, epoch: u64) -> String {
    format!("{}/revoked/{epoch:020}.json", server(id))
}

/// The note of an upload into a bucket: several machines may send one blob.
pub fn upload_note(b3: &B3, id: &str) -> String {
    format!("{UPLOADS}/{}-{}.json", b3.hex(), &B3::of(id.as_bytes()).hex()[..16])
}

/// The blob that an upload is of, as its path tells.
pub fn upload_of(path: &str) -> Option<B3> {
    let name = path.rsplit('/').next()?;
    name.get(..64)?.parse().ok()
}

/// The lease of a push.
pub fn lease(push: &str) -> String {
    format!("{LEASES}/{push}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_fixed_widths_and_read_back() {
        let b3 = B3::of(b"x");
        assert_eq!(blob_at(&blob(&b3)), Some(b3));
        assert_eq!(blob_at(&tree(&b3)), None);
        assert_eq!(blob_at(&blob(&b3).replacen("blobs", "bloss", 1)), None);
        let name: DatasetName = "acme/x".parse().unwrap();
        assert_eq!(record(&name, 7), "ds/acme/x/log/00000000000000000007.json");
        assert_eq!(seq_at(&record(&name, u64::MAX)), Some(u64::MAX));
        assert_eq!(seq_at("ds/acme/x/log/7.json"), None);
    }
}
