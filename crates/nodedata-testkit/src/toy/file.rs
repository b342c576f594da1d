use std::{ops::Range, sync::Arc};

use bytes::{Buf as _, Bytes};
use nodedata_core::{Error, Locus, OpenOptions, ReadAt, Result};
use nodedata_log::{
    ChannelRecord, ClockColumns, LogFacts, LogFile, MessageCursor, SchemaRecord, Selector, Times, Unit,
    corrupt,
};

use super::{
    END, ENTRY_BYTES, FIXED_BYTES, LEAF_BYTES, LEAVES_PER_DIRECTORY, MAGIC, RECORD_BYTES, TEXT_BYTES,
    cursor::ToyCursor,
};

/// One planned file.
#[derive(Debug, Clone)]
pub(super) struct ToyFile(Arc<Planned>);

struct Planned {
    file: Arc<dyn ReadAt>,
    recording: String,
    number: u8,
    n_files: u8,
    /// Where the first page starts.
    pages_at: u64,
    page_bytes: u64,
    /// What a leaf says it decodes to.
    weight: u64,
    leaves: Vec<Leaf>,
}

/// The part of the header that is about one leaf.
#[derive(Debug, Clone)]
struct Leaf {
    /// The page its directory is in.
    directory: u32,
    /// The two pages its messages are in.
    pages: [u32; 2],
    first_time: u64,
    last_time: u64,
}

/// Where a record lies: a page, and the offset in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    page: u32,
    offset: u16,
}

/// A record as it lies in its page.
pub(super) struct Record {
    pub(super) channel: u32,
    pub(super) log_time: u64,
    pub(super) payload: Bytes,
    pub(super) byte_range: Range<u64>,
}

impl std::fmt::Debug for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planned").field("recording", &self.recording).finish_non_exhaustive()
    }
}

impl ToyFile {
    /// Reads the header and the footer.
    pub(super) fn plan(file: Arc<dyn ReadAt>) -> Result<(Self, LogFacts)> {
        let n_bytes = file.n_bytes();
        let fixed = FIXED_BYTES as u64;
        let tail_bytes = (TEXT_BYTES + END.len()) as u64;
        if n_bytes < fixed + tail_bytes {
            return Err(corrupt("the file is too short for a toy"));
        }
        let mut fixed = file.read_at(0..fixed)?;
        let tail = file.read_at(n_bytes - tail_bytes..n_bytes)?;
        if !fixed.starts_with(MAGIC) || !tail.ends_with(END) {
            return Err(corrupt("the file does not begin and end as toys do"));
        }
        fixed.advance(MAGIC.len());
        let (number, n_files, n_channels) = (fixed.get_u8(), fixed.get_u8(), fixed.get_u8());
        let n_leaves = usize::from(fixed.get_u8());
        let (page_bytes, pages_at) = (u64::from(fixed.get_u32_le()), u64::from(fixed.get_u32_le()));
        let weight = u64::from(fixed.get_u32_le());
        let recording = text(&fixed.split_to(TEXT_BYTES))?;
        let note = text(&fixed.split_to(TEXT_BYTES))?;
        let all_pages = n_bytes.checked_sub(pages_at + tail_bytes);
        let n_pages = all_pages.zip(all_pages.and_then(|it| it.checked_rem(page_bytes)));
        let Some((all_pages, 0)) = n_pages else { return Err(corrupt("pages do not fill the file")) };
        if pages_at < FIXED_BYTES as u64 || page_bytes < (LEAVES_PER_DIRECTORY * (2 + ENTRY_BYTES)) as u64 {
            return Err(corrupt("the header is longer than it says, or pages hold nothing"));
        }
        let mut header = file.read_at(FIXED_BYTES as u64..pages_at)?;
        let mut facts = LogFacts::default();
        for _ in 0..n_channels {
            channel(&mut header, &mut facts)?;
        }
        let n_pages = all_pages / page_bytes;
        let leaves = (0..n_leaves).map(|_| Leaf::parse(&mut header, n_pages)).collect::<Result<_>>()?;
        facts.metadata.insert(format!("note.{number}"), note);
        facts.metadata.insert(format!("end.{number}"), text(&tail[..TEXT_BYTES])?);
        let planned = Planned { file, recording, number, n_files, pages_at, page_bytes, weight, leaves };
        Ok((Self(Arc::new(planned)), facts))
    }

    /// The name of its recording.
    pub(super) fn recording(&self) -> &str {
        &self.0.recording
    }

    /// Its position among the files of the recording.
    pub(super) fn number(&self) -> u8 {
        self.0.number
    }

    /// How many files the recording has.
    pub(super) fn n_files(&self) -> u8 {
        self.0.n_files
    }

    /// The directory of a leaf.
    pub(super) fn entries(&self, leaf: usize) -> Result<Vec<Entry>> {
        let Leaf { directory, pages, .. } = &self.0.leaves[leaf];
        let range = self.page(*directory);
        let page = self.0.file.read_at(range.clone())?;
        let part_bytes = page.len() / LEAVES_PER_DIRECTORY;
        let start = leaf % LEAVES_PER_DIRECTORY * part_bytes;
        let mut part = page.slice(start..start + part_bytes);
        let n_entries = usize::from(part.get_u16_le());
        if part.len() / ENTRY_BYTES < n_entries {
            let message = format!("leaf {leaf} has {n_entries} messages, which its directory cannot hold");
            return Err(corrupt(message).at(Locus::byte(range.start)));
        }
        let mut entry = || {
            let (which, offset) = (part.get_u8(), part.get_u16_le());
            Entry { page: pages[usize::from(which & 1)], offset }
        };
        Ok((0..n_entries).map(|_| entry()).collect())
    }

    /// A record of a leaf.
    pub(super) fn record(&self, leaf: usize, Entry { page, offset }: Entry) -> Result<Record> {
        let range = self.page(page);
        let start = range.start + u64::from(offset);
        let broken = |what: &str| {
            let message = format!("a message of leaf {leaf} {what}");
            corrupt(message).at(Locus::byte(start))
        };
        let page = self.0.file.read_at(range)?;
        let mut record = page.slice(usize::from(offset).min(page.len())..);
        if record.len() < RECORD_BYTES {
            return Err(broken("starts outside of its page"));
        }
        let (channel, log_time) = (record.get_u32_le(), record.get_u64_le());
        let n_bytes = record.get_u32_le();
        let Some(payload) = usize::try_from(n_bytes).ok().filter(|it| *it <= record.len()) else {
            return Err(broken("ends outside of its page"));
        };
        let Leaf { first_time, last_time, .. } = self.0.leaves[leaf];
        if !(first_time..=last_time).contains(&log_time) {
            return Err(broken("is of another time than the leaf"));
        }
        let end = start + RECORD_BYTES as u64 + u64::from(n_bytes);
        Ok(Record { channel, log_time, payload: record.slice(..payload), byte_range: start..end })
    }

    /// Bytes of the page that the directory of a leaf is in.
    pub(super) fn directory(&self, leaf: usize) -> Range<u64> {
        self.page(self.0.leaves[leaf].directory)
    }

    fn page(&self, page: u32) -> Range<u64> {
        let start = self.0.pages_at + u64::from(page) * self.0.page_bytes;
        start..start + self.0.page_bytes
    }
}

impl LogFile for ToyFile {
    fn clock(&self) -> ClockColumns {
        ClockColumns { publish_time: false, sequence: false }
    }

    fn in_file_order(&self) -> bool {
        false
    }

    fn n_units(&self) -> usize {
        self.0.leaves.len()
    }

    fn unit(&self, idx: usize) -> Unit {
        let Leaf { pages, first_time, last_time, .. } = &self.0.leaves[idx];
        Unit {
            byte_range: self.page(pages[0]),
            decoded_bytes: self.0.weight,
            times: Times::Within(*first_time, *last_time),
        }
    }

    fn reads(&self, units: Range<usize>) -> Vec<Range<u64>> {
        let leaves = &self.0.leaves[units];
        let messages = leaves.iter().flat_map(|it| it.pages);
        let mut pages: Vec<u32> = Vec::new();
        for page in messages.chain(leaves.iter().map(|it| it.directory)) {
            if !pages.contains(&page) {
                pages.push(page);
            }
        }
        pages.into_iter().map(|it| self.page(it)).collect()
    }

    fn messages(
        &self,
        units: Range<usize>,
        selector: Selector,
        _options: &OpenOptions,
    ) -> Box<dyn MessageCursor> {
        Box::new(ToyCursor::new(self.clone(), units, selector))
    }
}

impl Leaf {
    fn parse(header: &mut Bytes, n_pages: u64) -> Result<Self> {
        if header.len() < LEAF_BYTES {
            return Err(corrupt("the header ends within its leaves"));
        }
        let mut page = || header.get_u32_le();
        let (directory, pages) = (page(), [page(), page()]);
        let (first_time, last_time) = (header.get_u64_le(), header.get_u64_le());
        if [directory, pages[0], pages[1]].iter().any(|it| n_pages <= u64::from(*it))
            || last_time < first_time
        {
            return Err(corrupt("a leaf is in no page, or ends before it starts"));
        }
        Ok(Self { directory, pages, first_time, last_time })
    }
}

/// A channel, and the schema of its own that it has.
fn channel(header: &mut Bytes, facts: &mut LogFacts) -> Result<()> {
    let id = header.try_get_u32_le().map_err(cut)?;
    let mut texts = Vec::new();
    for _ in 0..3 {
        let n_bytes = usize::from(header.try_get_u16_le().map_err(cut)?);
        if header.len() < n_bytes {
            return Err(corrupt("the header ends within its channels"));
        }
        texts.push(text(&header.split_to(n_bytes))?);
    }
    let [topic, name, definition] = &texts[..] else { unreachable!("three texts") };
    let schema = SchemaRecord { id, name, encoding: "ros1msg", data: definition.as_bytes() };
    facts.definitions.add_schema(&schema, (0, 0))?;
    let channel = ChannelRecord { id, schema_id: Some(id), topic, message_encoding: "ros1", metadata: &[] };
    facts.definitions.add_channel(&channel, (0, 0))
}

fn cut(err: bytes::TryGetError) -> Error {
    corrupt("the header ends within its channels").with_source(err)
}

/// A text, which may be filled up with zeros.
fn text(bytes: &[u8]) -> Result<String> {
    let text = str::from_utf8(bytes).map_err(|err| corrupt("a text is not UTF-8").with_source(err))?;
    Ok(text.trim_end_matches('\0').to_owned())
}
