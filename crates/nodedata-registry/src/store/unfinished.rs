//! What writers leave that have not ended: uploads by parts, and files that have not got their name.

use std::{collections::BTreeSet, fs, path::Path};

use chrono::{DateTime, Utc};
use nodedata_core::Result;
use nodedata_io::io_error;

use crate::{
    digest::B3,
    layout::{self, UPLOADS},
    store::{ObjectInfo, Store, Uploads},
};

impl Store {
    /// Uploads that have not ended, by what the store keeps of them: in a directory files that grow, in a bucket a note of each,
    /// which tells no bytes.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn uploads_under_way(&self) -> Result<Vec<ObjectInfo>> {
        let mut found = self.list(UPLOADS)?;
        // Beside the bytes lie their hashes.
        found.retain(|it| !it.path.ends_with(".cvs"));
        Ok(found)
    }

    /// Ends uploads that nobody will go on with, but for blobs that pushes under way need. Returns how many.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub(crate) fn end_abandoned_uploads(
        &self,
        needed: &BTreeSet<B3>,
        is_abandoned: &dyn Fn(DateTime<Utc>) -> bool,
    ) -> Result<u64> {
        let mut n_ended = 0;
        for object in self.list(UPLOADS)? {
            let is_needed = layout::upload_of(&object.path).is_some_and(|it| needed.contains(&it));
            if is_needed || !is_abandoned(object.modified) {
                continue;
            }
            if let Uploads::Multipart(uploads) = &self.0.uploads
                && let Some(note) = self.get(&object.path)?
            {
                uploads.abort_noted(&note)?;
            }
            self.delete(&object.path)?;
            n_ended += u64::from(!object.path.ends_with(".cvs"));
        }
        Ok(n_ended)
    }

    /// Files of a directory that were being written and have not got their name; a listing of objects does not show them. Other
    /// stores have none.
    ///
    /// # Errors
    /// `Io`.
    pub fn staging_files(&self) -> Result<Vec<ObjectInfo>> {
        let mut found = Vec::new();
        if let Some(root) = self.folder() {
            for inside in ["blobs", layout::DATASETS, layout::LEASES, "gc", "probe"] {
                staged_below(&root, Path::new(inside), &mut found)?;
            }
        }
        found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// Removes such a file, unless it got its name meanwhile.
    pub(crate) fn remove_staging_file(&self, file: &ObjectInfo) -> Result<()> {
        let Some(root) = self.folder() else { return Ok(()) };
        let path = root.join(&file.path);
        match fs::remove_file(&path) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                Err(io_error("cannot remove what a killed writer left", &path, err))
            }
            _ => Ok(()),
        }
    }
}

fn staged_below(root: &Path, inside: &Path, found: &mut Vec<ObjectInfo>) -> Result<()> {
    let folder = root.join(inside);
    let failed = |err| io_error("cannot look into the folder", &folder, err);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(failed(err)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let path = inside.join(entry.file_name());
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            staged_below(root, &path, found)?;
        } else if kind.is_file() && is_staged(&entry.file_name().to_string_lossy()) {
            // It may have got its name since it was listed.
            let Ok(about) = entry.metadata() else { continue };
            let modified = about.modified().map_err(failed)?.into();
            found.push(ObjectInfo {
                path: path.to_string_lossy().into_owned(),
                bytes: about.len(),
                modified,
            });
        }
    }
    Ok(())
}

/// As `object_store` calls what it writes to a directory until it is whole.
fn is_staged(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|it| it.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staged_files_are_told_by_their_names() {
        for (name, expected) in
            [("a#1", true), ("a#1#23", true), ("a", false), ("a#", false), ("a#x1", false)]
        {
            assert_eq!(is_staged(name), expected, "{name}");
        }
    }
}
