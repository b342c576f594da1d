use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

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
    /// By the columns that it is for. There are two such sets at most: those that are read, and the one that rows are dealt by.
    decoders: Mutex<BTreeMap<Vec<usize>, Decoder>>,
    /// By the columns that are read of it, a record batch that is read in several parts.
    large: Mutex<BTreeMap<Vec<usize>, Arc<LargeBatch>>>,
}

/// The dictionaries that it has, by position.
type Decoder = (Vec<usize>, Arc<FileDecoder>);

/// Its position, and its rows.
type LargeBatch = Mutex<Option<(usize, Arc<RecordBatch>)>>;

impl Bodies {
    /// `bytes_max` bounds what is held of one message.
    pub(super) fn new(file: Arc<dyn ReadAt>, bytes_max: u64) -> Self {
        Self { file, bytes_max, decoders: Mutex::default(), large: Mutex::default() }
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
        let of_columns = {
            let mut large = self.large.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(large.entry(columns.to_vec()).or_default())
        };
        // Whoever comes second waits: to decode it twice would take as long, and twice the memory.
        let mut last = of_columns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, rows)) = &*last
            && *at == position
        {
            return Ok(Arc::clone(rows));
        }
        let rows = Arc::new(self.decoded(messages, position, columns)?);
        *last = Some((position, Arc::clone(&rows)));
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
        let n_ids = messages.dictionary_ids.len();
        let needed = dictionaries(&messages.all, &messages.dictionaries, n_ids, position);
        let lock = || self.decoders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, decoder)) = lock().get(columns)
            && *known == needed
        {
            return Ok(Arc::clone(decoder));
        }
        let decoder = FileDecoder::new(Arc::clone(&messages.schema), messages.version);
        let mut decoder = decoder.with_projection(columns.to_vec());
        for dictionary in &needed {
            let found = &messages.all[*dictionary];
            let (block, bytes) = self.body(found)?;
            match guarded(|| decoder.read_dictionary(&block, &bytes)) {
                Some(Ok(())) => {}
                Some(Err(err)) => return Err(broken(found).with_source(err)),
                None => return Err(broken(found)),
            }
        }
        let decoder = Arc::new(decoder);
        lock().insert(columns.to_vec(), (needed, Arc::clone(&decoder)));
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
/// file all of them stand in front. `places` is where dictionaries are, of `n_ids` columns: as soon as one of each is found, nothing in
/// front is looked at.
fn dictionaries(all: &[Found], places: &[usize], n_ids: usize, position: usize) -> Vec<usize> {
    let in_front = &places[..places.partition_point(|it| *it < position)];
    let mut needed = Vec::new();
    let mut whole = BTreeSet::new();
    for at in in_front.iter().rev() {
        if whole.len() == n_ids {
            break;
        }
        let Kind::Dictionary { id, is_delta } = all[*at].kind else { continue };
        if whole.contains(&id) {
            continue;
        }
        needed.push(*at);
        if !is_delta {
            whole.insert(id);
        }
    }
    needed.reverse();
    needed
}

fn broken(found: &Found) -> Error {
    Error::new(ErrorKind::Corrupt, "a record batch breaks the rules of Arrow").at(Locus::byte(found.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionaries_are_the_last_ones_and_what_was_added_to_them() {
        let whole = |id| Kind::Dictionary { id, is_delta: false };
        let more = |id| Kind::Dictionary { id, is_delta: true };
        let kinds = [
            whole(1),
            whole(2),
            Kind::Rows,
            more(1),
            Kind::Rows,
            whole(2),
            whole(1),
            more(1),
            Kind::Rows,
            more(2),
            Kind::Rows,
            more(3),
        ];
        let found = |kind| Found { at: 0, n_head: 0, n_body: 0, n_rows: 0, is_packed: false, kind };
        let all = kinds.map(found);
        let places: Vec<usize> = (0..all.len()).filter(|it| all[*it].kind != Kind::Rows).collect();
        let needed = |position| dictionaries(&all, &places, 3, position);
        assert!(needed(0).is_empty());
        assert_eq!(needed(2), [0, 1]);
        assert_eq!(needed(4), [0, 1, 3]);
        assert_eq!(needed(8), [5, 6, 7]);
        assert_eq!(needed(10), [5, 6, 7, 9]);
        // Where no other column has any, nothing in front of these is looked at.
        assert_eq!(dictionaries(&all, &places[..7], 2, 10), [5, 6, 7, 9]);
    }
}
