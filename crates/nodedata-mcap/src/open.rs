use std::{ops::Range, path::Path, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, OpenOptions, ReadAt, Result};
use nodedata_log::{Cost, FileView, RecordUnit, SALVAGE_HINT, UnitKind, foreign_start};

use crate::{
    fault::corrupt_at,
    log_plan::LogPlan,
    metadata::MetadataRecord,
    records::{Header, MAGIC, RECORD_HEAD_BYTES, RecordHead, op},
    scan::Scanner,
    tail::{IndexedChunk, Summary, Tail},
};

/// Finds out what one file holds: from its summary when that can be trusted, otherwise by walking it.
///
/// # Errors
/// `Corrupt`, `Unsupported` or `Limit` with the byte offset of the first damage when the file is not
/// opened to salvage, and always when it is no MCAP file at all; `Io`.
pub(crate) fn plan_log(file: Arc<dyn ReadAt>, path: &Path, options: &OpenOptions) -> Result<LogPlan> {
    let mut view = FileView::new(file);
    let start = view.up_to(0, 64)?;
    let magic_is_wrong = check_magic(&start).map_err(|err| err.at(Locus::path(path)));
    if let Err(err) = &magic_is_wrong
        && !(options.salvage && err.kind() == ErrorKind::Corrupt && has_header(&mut view)?)
    {
        return magic_is_wrong.map(|()| LogPlan::default());
    }
    let header = read_header(&mut view);
    let tail = Tail::read(&mut view);
    let mut scanner = Scanner::new(view, path, options);
    if let Err(err) = magic_is_wrong {
        scanner.damaged(err, Cost::nothing("magic"))?;
    }
    match header {
        Ok(header) => scanner.plan.metadata.push(header),
        Err(err) => scanner.damaged(err, Cost::nothing("header"))?,
    }
    if options.salvage {
        if let Ok(tail) = &tail {
            match Summary::read(&mut scanner.view, tail, options.verify_checksums, options.record_bytes_max) {
                Ok(summary) => scanner.trust_index(summary.unwrap_or_default().chunks),
                Err(err) => scanner.damaged(err, Cost::nothing("summary"))?,
            }
        }
        walk_to_the_end(&mut scanner, tail)?;
        return Ok(scanner.finish());
    }
    let tail = tail.map_err(|err| first_break(&mut scanner.view, err).at(Locus::path(path)))?;
    let limit = options.record_bytes_max;
    let summary = Summary::read(&mut scanner.view, &tail, options.verify_checksums, limit)
        .map_err(|err| err.at(Locus::path(path)))?;
    match summary {
        // Messages outside chunks have no checksum but that of the data section, so it must be verified.
        Some(summary)
            if summary.names_every_channel()
                && !(summary.chunks.is_empty()
                    && options.verify_checksums
                    && has_data_crc(&mut scanner.view, Some(&tail))?) =>
        {
            let data_end = tail.footer.summary_start;
            walk_between_chunks(&mut scanner, summary, data_end)?;
        }
        _ => walk_to_the_end(&mut scanner, Ok(tail))?,
    }
    Ok(scanner.finish())
}

/// Walks every record, decoding every chunk.
fn walk_to_the_end(scanner: &mut Scanner<'_>, tail: Result<Tail>) -> Result<()> {
    let n_bytes = scanner.view.n_bytes();
    let n_magic = MAGIC.len() as u64;
    let closing = scanner.view.up_to(n_bytes.saturating_sub(n_magic).max(n_magic), n_magic)?;
    let end = if closing.as_ref() == MAGIC { n_bytes - n_magic } else { n_bytes };
    if has_data_crc(&mut scanner.view, tail.as_ref().ok())? {
        scanner.check_data_crc();
    }
    scanner.walk(n_magic.min(end)..end)?;
    match tail {
        Err(err) => scanner.damaged(err.with_hint(SALVAGE_HINT), Cost::nothing("truncated")),
        Ok(_) if !scanner.footer_seen() => {
            scanner.damaged(corrupt_at(end, "no Footer record was found"), Cost::nothing("truncated"))
        }
        Ok(_) => Ok(()),
    }
}

/// Whether the data section's end record carries a CRC: when not, payloads need not be touched.
fn has_data_crc(view: &mut FileView, tail: Option<&Tail>) -> Result<bool> {
    let Some(tail) = tail else { return Ok(true) };
    let end = if tail.footer.summary_start == 0 { tail.footer_offset } else { tail.footer.summary_start };
    let end_record = view.up_to(end.saturating_sub(RECORD_HEAD_BYTES + 4), RECORD_HEAD_BYTES + 4)?;
    Ok(end_record.first() != Some(&op::DATA_END) || !end_record.ends_with(&[0; 4]))
}

/// Walks only what lies between the chunks the summary names: their own records are not touched.
fn walk_between_chunks(scanner: &mut Scanner<'_>, summary: Summary, data_end: u64) -> Result<()> {
    let is_counted = summary.counts_every_message();
    scanner.plan.facts.definitions = summary.definitions;
    let mut at = MAGIC.len() as u64;
    for mut chunk in summary.chunks {
        chunk.counts = chunk.counts.filter(|_| is_counted);
        scanner.walk(at..chunk.start)?;
        at = if chunk.index_end <= data_end { chunk.index_end } else { chunk.end };
        scanner.plan.units.push(unit_of(chunk));
    }
    scanner.walk(at..data_end)
}

fn unit_of(chunk: IndexedChunk) -> RecordUnit {
    let IndexedChunk { start, end, index_end, times, channels, counts, n_uncompressed } = chunk;
    RecordUnit {
        kind: UnitKind::Chunk,
        byte_range: start..end,
        n_uncompressed: n_uncompressed.max(end - start),
        // Writers that leave message indexes out name no channel; that is not "no message".
        channels: (!channels.is_empty()).then(|| channels.into_iter().collect()),
        times: (times != (0, 0)).then_some(times),
        counts,
        index_range: end..index_end,
    }
}

/// Checks the first bytes of a file.
pub(crate) fn check_magic(start: &Bytes) -> Result<()> {
    if start.starts_with(&MAGIC) {
        return Ok(());
    }
    let at_start = |err: Error| Err(err.at(Locus::byte(0)));
    if start.starts_with(&MAGIC[..5]) && start.get(6..8) == Some(b"\r\n") {
        let version = start[5].escape_ascii();
        return at_start(
            Error::new(
                ErrorKind::Unsupported,
                format!("file is MCAP version `{version}`, but only `0` is known"),
            )
            .with_hint("convert it with the recorder's own tools, or update this program"),
        );
    }
    at_start(foreign_start(start, "MCAP", &MAGIC))
}

fn read_header(view: &mut FileView) -> Result<MetadataRecord> {
    let at = MAGIC.len() as u64;
    let start = view.up_to(at, RECORD_HEAD_BYTES)?;
    let Some(head) = RecordHead::parse(&start) else {
        return Err(corrupt_at(at, "file ends before its Header record"));
    };
    if head.opcode != op::HEADER {
        return Err(corrupt_at(
            at,
            format!("first record has opcode {:#04x}, but it must be a Header (0x01)", head.opcode),
        ));
    }
    let content = at + RECORD_HEAD_BYTES;
    if view.n_bytes() - content < head.n_bytes {
        return Err(corrupt_at(at, "file ends inside its Header record"));
    }
    // Two short texts: whatever a hostile length says, no more is looked at.
    let bytes = view.up_to(content, head.n_bytes.min(1 << 20))?;
    Header::parse(&bytes).map(|it| (&it).into()).map_err(|err| err.at(Locus::byte(at)))
}

fn has_header(view: &mut FileView) -> Result<bool> {
    match read_header(view) {
        Ok(_) => Ok(true),
        Err(err) if err.kind() == ErrorKind::Io => Err(err),
        Err(_) => Ok(false),
    }
}

/// The first place where records stop following one another; `missing_end` when all do.
fn first_break(view: &mut FileView, missing_end: Error) -> Error {
    if missing_end.kind() == ErrorKind::Io {
        return missing_end;
    }
    let n_bytes = view.n_bytes();
    let mut rest: Range<u64> = MAGIC.len() as u64..n_bytes;
    while rest.start < rest.end {
        let start = match view.up_to(rest.start, RECORD_HEAD_BYTES) {
            Ok(start) => start,
            Err(err) => return err,
        };
        let next = RecordHead::parse(&start)
            .filter(|it| it.opcode != 0)
            .and_then(|it| rest.start.checked_add(RECORD_HEAD_BYTES)?.checked_add(it.n_bytes))
            .filter(|it| *it <= n_bytes);
        match next {
            Some(next) => rest.start = next,
            None => {
                return corrupt_at(
                    rest.start,
                    format!(
                        "file ends inside the record at byte {}: {} of its bytes are there",
                        rest.start,
                        rest.end - rest.start
                    ),
                );
            }
        }
    }
    missing_end
}
