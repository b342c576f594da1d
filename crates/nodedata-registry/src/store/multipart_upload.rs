use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use nodedata_core::{Locus, Result};
use nodedata_io::io_error;
use object_store::{MultipartId, ObjectStoreExt, PutPayload, multipart::PartId, path::Path as ObjectPath};
use serde::{Deserialize, Serialize};

use crate::{
    digest::B3,
    layout,
    record::BlobRef,
    runtime::block_on,
    store::{
        Sender,
        error::{object_error, stalled},
        local_upload::missing_parts,
        objects::Objects,
    },
    tree::{self, Cv},
};

/// Uploads into a bucket. What the bucket acknowledged is noted in a journal of this machine, because the
/// bucket does not tell it back; another machine starts again.
pub(crate) struct MultipartUploads {
    label: String,
    objects: Arc<Objects>,
    /// Of the store in the bucket.
    prefix: ObjectPath,
    /// `None` keeps the notes in memory only.
    journal: Option<PathBuf>,
    open: Mutex<BTreeMap<(Sender, B3), Upload>>,
}

#[derive(Debug, Clone, Default)]
struct Upload {
    id: String,
    parts: BTreeMap<u32, Part>,
}

/// What the store keeps of an upload under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    /// `upload/1`.
    nd: String,
    /// Where the blob will lie in the bucket.
    at: String,
    /// The bucket's name for the upload.
    id: String,
    /// Bytes of the blob.
    bytes: u64,
}

/// A line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Part {
    id: String,
    part: u32,
    etag: String,
    /// Hex of the chaining values of its grains.
    cvs: String,
}

impl MultipartUploads {
    pub(crate) fn new(
        label: &str,
        objects: Arc<Objects>,
        prefix: ObjectPath,
        journal: Option<PathBuf>,
    ) -> Self {
        Self { label: label.to_owned(), objects, prefix, journal, open: Mutex::default() }
    }

    pub(crate) fn have(&self, sender: &Sender, blob: &BlobRef) -> Result<Vec<u32>> {
        Ok(self.known(sender, blob)?.map(|it| it.parts.into_keys().collect()).unwrap_or_default())
    }

    pub(crate) fn put_part(
        &self,
        sender: &Sender,
        blob: &BlobRef,
        at: &ObjectPath,
        part: u32,
        bytes: Bytes,
        cvs: &[Cv],
    ) -> Result<()> {
        let id = self.id(sender, blob, at)?;
        let n_bytes = bytes.len() as u64;
        let put = self.objects.parts()?.put_part(at, &id, part as usize, PutPayload::from(bytes));
        let etag = match block_on(n_bytes, put).map_err(stalled)? {
            Ok(part_id) => part_id.content_id,
            Err(err) => {
                if matches!(err, object_store::Error::NotFound { .. }) {
                    // The bucket has dropped the upload; the next try begins another.
                    self.remove_note(blob, &id)?;
                    self.forget(sender, blob)?;
                }
                return Err(
                    object_error("cannot send a part", &self.label, &err).at(Locus::path(at.as_ref()))
                );
            }
        };
        let cvs = cvs.iter().map(|it| B3(*it).hex()).collect();
        let done = Part { id: id.clone(), part, etag, cvs };
        self.note(sender, blob, &done)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(upload) = open.get_mut(&(sender.clone(), blob.b3)).filter(|it| it.id == id) {
            upload.parts.insert(part, done);
        }
        Ok(())
    }

    pub(crate) fn complete(&self, sender: &Sender, blob: &BlobRef) -> Result<Vec<Cv>> {
        let upload = self.known(sender, blob)?.unwrap_or_default();
        let n_parts = tree::n_parts(blob.bytes);
        let have: Vec<u32> = upload.parts.keys().copied().filter(|it| *it < n_parts).collect();
        if have.len() < n_parts as usize {
            return Err(missing_parts(blob, &have));
        }
        // As many as have come, whatever length the blob is said to have.
        let mut cvs = Vec::new();
        for part in upload.parts.values() {
            for hex in part.cvs.as_bytes().chunks(64) {
                cvs.push(String::from_utf8_lossy(hex).parse::<B3>()?.0);
            }
        }
        Ok(cvs)
    }

    pub(crate) fn finish(&self, sender: &Sender, blob: &BlobRef, at: &ObjectPath) -> Result<()> {
        let upload = self.known(sender, blob)?.unwrap_or_default();
        let parts = upload.parts.into_values().map(|it| PartId { content_id: it.etag }).collect();
        let done = block_on(blob.bytes, self.objects.parts()?.complete_multipart(at, &upload.id, parts))
            .map_err(stalled)?;
        if done.is_ok() {
            self.remove_note(blob, &upload.id)?;
            self.forget(sender, blob)?;
        } else {
            self.give_up(sender, blob, at)?;
        }
        done.map(drop).map_err(|err| {
            object_error("cannot end the upload", &self.label, &err).at(Locus::path(at.as_ref()))
        })
    }

    /// Makes the parts of one sender those of another.
    pub(crate) fn hand_over(&self, from: &Sender, to: &Sender, blob: &BlobRef) -> Result<()> {
        let Some(upload) = self.known(from, blob)? else { return Ok(()) };
        if let (Some(old), Some(new)) = (self.journal_of(from, blob), self.journal_of(to, blob)) {
            match fs::rename(&old, &new) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io_error("cannot hand the journal over", &old, err));
                }
                _ => {}
            }
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&(from.clone(), blob.b3));
        open.insert((to.clone(), blob.b3), upload);
        Ok(())
    }

    /// Ends an upload without its blob: what was sent of it goes. Where the bucket does not answer, the note stays, and a later
    /// collection tries again.
    pub(crate) fn give_up(&self, sender: &Sender, blob: &BlobRef, at: &ObjectPath) -> Result<()> {
        if let Some(upload) = self.known(sender, blob)?
            && self.abort(at, &upload.id).is_ok()
        {
            self.remove_note(blob, &upload.id)?;
        }
        self.forget(sender, blob)
    }

    /// Ends the upload that a note tells of; a note that cannot be read tells of none.
    pub(crate) fn abort_noted(&self, note: &[u8]) -> Result<()> {
        match serde_json::from_slice::<Note>(note) {
            Ok(note) => self.abort(&ObjectPath::from(note.at), &note.id),
            Err(_) => Ok(()),
        }
    }

    fn abort(&self, at: &ObjectPath, id: &MultipartId) -> Result<()> {
        match block_on(0, self.objects.parts()?.abort_multipart(at, id)).map_err(stalled)? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(err) => {
                Err(object_error("cannot end an upload", &self.label, &err).at(Locus::path(at.as_ref())))
            }
        }
    }

    fn note_path(&self, blob: &BlobRef, id: &str) -> ObjectPath {
        let inside = ObjectPath::from(layout::upload_note(&blob.b3, id));
        self.prefix.parts().chain(inside.parts()).collect()
    }

    /// A bucket does not list uploads, so the store notes each, for whoever cleans up after a machine that died.
    fn write_note(&self, blob: &BlobRef, at: &ObjectPath, id: &str) -> Result<()> {
        let note =
            Note { nd: "upload/1".to_owned(), at: at.to_string(), id: id.to_owned(), bytes: blob.bytes };
        let bytes = serde_json::to_vec(&note).map_err(std::io::Error::from)?;
        let path = self.note_path(blob, id);
        block_on(bytes.len() as u64, self.objects.objects()?.put(&path, PutPayload::from(bytes)))
            .map_err(stalled)?
            .map(drop)
            .map_err(|err| {
                object_error("cannot note an upload", &self.label, &err).at(Locus::path(path.as_ref()))
            })
    }

    fn remove_note(&self, blob: &BlobRef, id: &str) -> Result<()> {
        let path = self.note_path(blob, id);
        match block_on(0, self.objects.objects()?.delete(&path)).map_err(stalled)? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(err) => Err(object_error("cannot remove the note of an upload", &self.label, &err)),
        }
    }

    fn forget(&self, sender: &Sender, blob: &BlobRef) -> Result<()> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&(sender.clone(), blob.b3));
        if let Some(path) = self.journal_of(sender, blob)
            && let Err(err) = fs::remove_file(&path)
            && err.kind() != std::io::ErrorKind::NotFound
        {
            return Err(io_error("cannot remove the journal", &path, err));
        }
        Ok(())
    }

    /// The upload under way, begun when there is none. The lock is held over the request, so that threads
    /// that send parts of one blob share one upload.
    fn id(&self, sender: &Sender, blob: &BlobRef, at: &ObjectPath) -> Result<String> {
        let key = (sender.clone(), blob.b3);
        let lock = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked for each part: the others are not copied for it.
        if let Some(upload) = lock().get(&key) {
            return Ok(upload.id.clone());
        }
        if let Some(upload) = self.known(sender, blob)? {
            return Ok(upload.id);
        }
        let mut open = lock();
        if let Some(upload) = open.get(&key) {
            return Ok(upload.id.clone());
        }
        let id =
            block_on(0, self.objects.parts()?.create_multipart(at)).map_err(stalled)?.map_err(|err| {
                object_error("cannot begin an upload", &self.label, &err).at(Locus::path(at.as_ref()))
            })?;
        if let Err(err) = self.write_note(blob, at, &id) {
            // Nobody would ever find it.
            drop(self.abort(at, &id));
            return Err(err);
        }
        open.insert(key, Upload { id: id.clone(), parts: BTreeMap::new() });
        Ok(id)
    }

    /// The upload as memory or the journal knows it.
    fn known(&self, sender: &Sender, blob: &BlobRef) -> Result<Option<Upload>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (sender.clone(), blob.b3);
        if let Some(upload) = open.get(&key) {
            return Ok(Some(upload.clone()));
        }
        let Some(path) = self.journal_of(sender, blob) else { return Ok(None) };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(io_error("cannot read the journal", &path, err)),
        };
        let mut upload = Upload::default();
        // A line that a crash cut off is no part that was acknowledged.
        for part in text.lines().filter_map(|line| serde_json::from_str::<Part>(line).ok()) {
            if part.id != upload.id {
                upload = Upload { id: part.id.clone(), parts: BTreeMap::new() };
            }
            upload.parts.insert(part.part, part);
        }
        if upload.id.is_empty() {
            return Ok(None);
        }
        open.insert(key, upload.clone());
        Ok(Some(upload))
    }

    fn note(&self, sender: &Sender, blob: &BlobRef, part: &Part) -> Result<()> {
        let Some(path) = self.journal_of(sender, blob) else { return Ok(()) };
        let mut line = serde_json::to_string(part).map_err(std::io::Error::from)?;
        line.push('\n');
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|err| io_error("cannot make the folder", folder, err))?;
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut it| it.write_all(line.as_bytes()))
            .map_err(|err| io_error("cannot write the journal", &path, err))
    }

    fn journal_of(&self, sender: &Sender, blob: &BlobRef) -> Option<PathBuf> {
        let sender = sender.name().map_or_else(String::new, |it| format!("\n{it}"));
        let key = B3::of(format!("{}\n{}{sender}", self.label, blob.b3).as_bytes());
        Some(self.journal.as_ref()?.join(format!("{}.jsonl", key.hex())))
    }
}
