use std::collections::BTreeMap;

use nodedata_core::{ReadAt, Result};

use super::{
    header::{page_bytes_of, u32_at},
    overlay::Found,
};

const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
const HEADER_BYTES: u64 = 28;

/// Reads a rollback journal that a crash left: it holds pages as they were before the transaction that was never finished, which is
/// how SQLite would put them back.
///
/// # Errors
/// `Io`.
pub(crate) fn read(file: &dyn ReadAt) -> Result<Found> {
    let n_bytes = file.n_bytes();
    let mut pages = BTreeMap::new();
    let mut laid_out: Option<(u32, u64, u32)> = None;
    let mut lost = None;
    let mut at = 0;
    // Each sync of the recorder begins a part with a header of its own.
    while HEADER_BYTES <= n_bytes.saturating_sub(at) {
        let head = file.read_at(at..at + HEADER_BYTES)?;
        if head[..8] != MAGIC {
            // A journal that is kept for the next transaction begins with zeros.
            if at == 0 && head[0] != 0 {
                lost = Some((0, unusable()));
            }
            break;
        }
        let (n_records, nonce) = (u32_at(&head, 8), u32_at(&head, 12));
        let (page_bytes, sector, _) = match laid_out {
            Some(known) => known,
            None => {
                let sizes = page_bytes_of(u32_at(&head, 24)).zip(Some(u64::from(u32_at(&head, 20))));
                let Some((page_bytes, sector)) = sizes.filter(|it| (32..=1 << 16).contains(&it.1)) else {
                    lost = Some((0, unusable()));
                    break;
                };
                *laid_out.insert((page_bytes, sector, u32_at(&head, 16)))
            }
        };
        let record_bytes = u64::from(page_bytes) + 8;
        let start = at + sector;
        let n_there = n_bytes.saturating_sub(start) / record_bytes;
        // What no sync came behind says so, and reaches to the end. Everything else was synced before it was counted.
        let n_synced = if n_records == u32::MAX { 0 } else { u64::from(n_records) };
        let n_records = if n_records == u32::MAX { n_there } else { n_synced.min(n_there) };
        let mut n_sound = 0;
        while n_sound < n_records {
            let at = start + n_sound * record_bytes;
            let record = file.read_at(at..at + record_bytes)?;
            let page = u32_at(&record, 0);
            let content = &record[4..record.len() - 4];
            if page == 0 || checksum(nonce, content) != u32_at(&record, record.len() - 4) {
                break;
            }
            pages.insert(page, at + 4);
            n_sound += 1;
        }
        if n_sound < n_synced {
            lost = Some((start + n_sound * record_bytes, damaged(n_sound, n_synced)));
        }
        if n_sound < n_records {
            break;
        }
        at = (start + n_records * record_bytes).next_multiple_of(sector);
    }
    Ok(Found { lost, ..found(pages, laid_out) })
}

fn unusable() -> String {
    "the head of the rollback journal is damaged, so that none of its pages can be put back: SQLite leaves the database like that as \
     well, and does not say so"
        .to_owned()
}

fn damaged(n_sound: u64, n_synced: u64) -> String {
    format!(
        "the rollback journal is damaged: of {n_synced} pages in a part of it {n_sound} can be put back, and what the others were \
         before nothing tells; SQLite leaves the database like that as well, and does not say so"
    )
}

fn found(pages: BTreeMap<u32, u64>, laid_out: Option<(u32, u64, u32)>) -> Found {
    let Some((page_bytes, _, n_pages)) = laid_out else { return Found::default() };
    let message = format!(
        "a rollback journal lies beside the database: the transaction that a crash broke off is undone, in {} pages, as SQLite \
         would do it",
        pages.len()
    );
    Found {
        pages: Some((pages, n_pages)),
        page_bytes: Some(page_bytes),
        told: Some((0, message)),
        ..Found::default()
    }
}

/// Every two hundredth byte, from the end of the page.
fn checksum(nonce: u32, page: &[u8]) -> u32 {
    let mut sum = nonce;
    let mut at = page.len().saturating_sub(200);
    while 0 < at {
        sum = sum.wrapping_add(u32::from(page[at]));
        at = at.saturating_sub(200);
    }
    sum
}
