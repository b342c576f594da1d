use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::{Block, reader::FileDecoder};
use nodedata_arrow::guarded;
use nodedata_core::{Error, ErrorKind, Locus, ReadAt, Result};

use super::messages::{Found, Kind, Messages, buffers};

/// What decodes the bodies of a file's messages, kept while it can be used again.
pub(super) struct Bodies {
    file: Arc<dyn ReadAt>,
    bytes_max: u64,
    /// Of the columns and the dictionaries it is for.
    decoder: Mutex<Option<(DecoderKey, Arc<FileDecoder>)>>,
    /// A record batch that is read in several parts.
    large: Mutex<Option<LargeBatch>>,
}

/// Its position, the columns that were read of it, and these.
type LargeBatch = (usize, Vec<usize>, Arc<RecordBatch>);

/// The columns, and the dictionaries by position.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DecoderKey(Vec<usize>, Vec<usize>);

impl Bodies {
    /// `bytes_max` bounds what is held of one message.
    pub(super) fn new(file: Arc<dyn ReadAt>, bytes_max: u64) -> Self {
        Self { file, bytes_max, decoder: Mutex::default(), large: Mutex::default() }
    }

    /// The rows of a message, of the columns at these positions. Those of one that is read in several parts are kept for the next.
    ///
    /// # Errors
    /// `Corrupt`; `Limit`; `Io`.
    pub(super) fn rows(
        &self,
        messages: &Messages,
        position: usize,
        columns: &[usize],
        is_large: bool,
    ) -> Result<Arc<RecordBatch>> {
        if !is_large {
            return self.decoded(messages, position, columns).map(Arc::new);
        }
        // Whoever comes second waits: to decode it twice would take as long, and twice the memory.
        let mut large = self.large.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, of, rows)) = &*large
            && *at == position
            && of == columns
        {
            return Ok(Arc::clone(rows));
        }
        let rows = Arc::new(self.decoded(messages, position, columns)?);
        *large = Some((position, columns.to_vec(), Arc::clone(&rows)));
        Ok(rows)
    }

    fn decoded(&self, messages: &Messages, position: usize, columns: &[usize]) -> Result<RecordBatch> {
        let found = &messages.all[position];
        let decoder = self.decoder(messages, position, columns)?;
        let (block, bytes) = self.body(found)?;
        let rows = guarded(|| decoder.read_record_batch(&block, &bytes));
        match rows {
            Some(Ok(Some(rows))) => Ok(rows),
            Some(Err(err)) => Err(broken(found).with_source(err)),
            Some(Ok(None)) | None => Err(broken(found)),
        }
    }

    /// A decoder that has the dictionaries of a message.
    fn decoder(&self, messages: &Messages, position: usize, columns: &[usize]) -> Result<Arc<FileDecoder>> {
        let key = DecoderKey(columns.to_vec(), dictionaries(&messages.all, position));
        let lock = || self.decoder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, decoder)) = &*lock()
            && *known == key
        {
            return Ok(Arc::clone(decoder));
        }
        let decoder = FileDecoder::new(Arc::clone(&messages.schema), messages.version);
        let mut decoder = decoder.with_projection(columns.to_vec());
        for dictionary in &key.1 {
            let found = &messages.all[*dictionary];
            let (block, bytes) = self.body(found)?;
            match guarded(|| decoder.read_dictionary(&block, &bytes)) {
                Some(Ok(())) => {}
                Some(Err(err)) => return Err(broken(found).with_source(err)),
                None => return Err(broken(found)),
            }
        }
        let decoder = Arc::new(decoder);
        *lock() = Some((key, Arc::clone(&decoder)));
        Ok(decoder)
    }

    /// The bytes of a message, all of which were looked at for what they would become.
    fn body(&self, found: &Found) -> Result<(Block, Buffer)> {
        let range = found.byte_range();
        let too_long = |n_bytes: u64| {
            let message = format!(
                "a record batch takes {n_bytes} bytes, more than the {} of one record",
                self.bytes_max
            );
            Error::new(ErrorKind::Limit, message)
                .at(Locus::byte(found.at))
                .with_hint("write the file again with fewer rows a batch")
        };
        if self.file.in_memory().is_none() && self.bytes_max < range.end - range.start {
            return Err(too_long(range.end - range.start));
        }
        let bytes = self.file.read_at(range)?;
        if found.is_packed {
            let (head, body) = bytes.split_at(found.n_head as usize);
            let n_bytes = unpacked(body, &buffers(head, found.at)?);
            if n_bytes.is_none_or(|it| self.bytes_max < it) {
                return Err(too_long(n_bytes.unwrap_or(u64::MAX)));
            }
        }
        // All three were found in the file, whose length is no more than its own type holds.
        let block = Block::new(found.at as i64, found.n_head as i32, found.n_body as i64);
        Ok((block, Buffer::from(bytes)))
    }
}

/// Bytes that come out of packed buffers, as each says of itself; `None` where one says what cannot be.
fn unpacked(body: &[u8], buffers: &[std::ops::Range<usize>]) -> Option<u64> {
    let mut all = 0u64;
    for range in buffers.iter().filter(|it| !it.is_empty()) {
        let told = body.get(range.clone())?.get(..8)?;
        let told = i64::from_le_bytes(told.try_into().ok()?);
        // -1 is of a buffer that did not become smaller.
        let n_bytes = if told == -1 { range.len() as u64 } else { u64::try_from(told).ok()? };
        all = all.checked_add(n_bytes)?;
    }
    Some(all)
}

/// The dictionaries that a message needs, by position: of each the last one in front of it, and what was added to that since. In a
/// file all of them stand in front.
fn dictionaries(all: &[Found], position: usize) -> Vec<usize> {
    let mut needed: Vec<(i64, usize)> = Vec::new();
    for (at, found) in all[..position].iter().enumerate() {
        if let Kind::Dictionary { id, is_delta } = found.kind {
            if !is_delta {
                needed.retain(|it| it.0 != id);
            }
            needed.push((id, at));
        }
    }
    needed.into_iter().map(|it| it.1).collect()
}

fn broken(found: &Found) -> Error {
    Error::new(ErrorKind::Corrupt, "a record batch breaks the rules of Arrow").at(Locus::byte(found.at))
}
