use std::ops::Range;

use nodedata_core::{ErrorKind, OpenOptions, Result};
use nodedata_log::{Cost, Damage, LogFacts, Times};

use super::message::MessageColumns;
use crate::sqlite::{cell::TablePage, database::Database, page::PageSet, salvage, schema::within, walk};

/// Bytes of leaves that are one unit: rows of one are told as one run.
const UNIT_BYTES: u64 = 64 << 10;

/// Leaves that follow each other, both as rows and in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeafUnit {
    /// Positions among all leaves.
    pub(crate) leaves: Range<usize>,
    /// The file they lie in, and which bytes of it.
    pub(crate) part: usize,
    pub(crate) bytes: Range<u64>,
    /// Up to where in the database's own file they lie, and what leads to them.
    pub(crate) own_end: u64,
    pub(crate) decoded_bytes: u64,
    pub(crate) times: Times,
    /// Messages by channel.
    pub(crate) counts: Option<Vec<(u32, u64)>>,
}

/// Finds the leaves of the table of messages and what is in them, as far as that costs no reading.
///
/// # Errors
/// `Io`; not opened to salvage, `Corrupt` for a page that leads nowhere.
pub(crate) fn plan(
    database: &Database,
    root: u32,
    columns: &MessageColumns,
    reached: &mut PageSet,
    options: &OpenOptions,
    facts: &mut LogFacts,
) -> Result<(Vec<LeafUnit>, Vec<u32>)> {
    let pages = &database.pages;
    let tree = walk::leaves(pages, root, reached, options.salvage)?;
    let is_whole = tree.broken.is_empty();
    for broken in tree.broken {
        let error = within("messages", broken.error);
        if !options.salvage || error.kind() == ErrorKind::Io {
            return Err(error);
        }
        let byte_range = pages.own_bytes(broken.page);
        let cost = Cost { byte_range, uncounted: true, ..Cost::nothing("damaged_page") };
        facts.damage.push(Damage { error, cost });
    }
    let mut leaves: Vec<(u32, u64)> = tree.leaves.iter().map(|it| (it.page, it.own_end)).collect();
    if !is_whole {
        let channels = &facts.definitions.channels;
        let fits = |page: &TablePage, idx: usize| {
            let Ok(cell) = page.cell(idx) else { return false };
            let front = page.local(&cell);
            let Ok(Some(head)) = columns.head(front, cell.n_payload) else { return false };
            columns.n_found(front, cell.n_payload) == Some(columns.n_columns())
                && channels.contains_key(&head.channel)
                && head.time.is_some()
                && head.data.is_some()
        };
        let orphans = salvage::orphans(pages, reached, database.first_free, fits)?;
        leaves.extend(orphans.into_iter().map(|it| (it, pages.own_end(it))));
    }
    let mut units = Vec::new();
    let mut start = 0;
    while start < leaves.len() {
        let end = end_of_unit(database, &leaves, start);
        units.push(unit(database, &leaves, start..end));
        start = end;
    }
    let leaves: Vec<u32> = leaves.into_iter().map(|it| it.0).collect();
    if pages.is_in_memory() {
        for unit in &mut units {
            look(database, columns, unit, &leaves)?;
        }
    } else {
        // From far away a look at each leaf would read the table: its bytes are taken to lie evenly.
        let n_bytes = u64::from(pages.n_there()) * pages.page_bytes();
        let each = n_bytes / leaves.len().max(1) as u64;
        units.iter_mut().for_each(|it| it.decoded_bytes = each * it.leaves.len() as u64);
    }
    Ok((units, leaves))
}

/// Where the unit that starts with a leaf ends: leaves of one lie in one file, each behind the one before.
fn end_of_unit(database: &Database, leaves: &[(u32, u64)], start: usize) -> usize {
    let pages = &database.pages;
    let n_max = (UNIT_BYTES / pages.page_bytes()).max(1) as usize;
    let mut last = pages.place(leaves[start].0);
    let rest = leaves[start + 1..].iter().take(n_max - 1);
    let follows = |leaf: &&(u32, u64)| {
        let next = pages.place(leaf.0);
        let is_next = next.part == last.part && last.offset < next.offset;
        last = next;
        is_next
    };
    start + 1 + rest.take_while(follows).count()
}

fn unit(database: &Database, leaves: &[(u32, u64)], range: Range<usize>) -> LeafUnit {
    let pages = &database.pages;
    let (first, last) = (pages.place(leaves[range.start].0), pages.place(leaves[range.end - 1].0));
    LeafUnit {
        part: first.part,
        bytes: first.offset.min(pages.end_of(last))..pages.end_of(last),
        own_end: leaves[range.clone()].iter().map(|it| it.1).max().unwrap_or(0),
        leaves: range,
        decoded_bytes: 0,
        times: Times::Unknown,
        counts: None,
    }
}

/// Looks at the front of every row of a unit. What is broken is left to reading, and then nothing is known of times and counts.
fn look(database: &Database, columns: &MessageColumns, unit: &mut LeafUnit, leaves: &[u32]) -> Result<()> {
    let mut channels = Vec::new();
    let mut times: Option<(u64, u64)> = None;
    let mut is_sound = true;
    let n_most = u64::from(database.pages.n_there()) * database.pages.page_bytes();
    for leaf in &leaves[unit.leaves.clone()] {
        let page = match TablePage::read(&database.pages, *leaf) {
            Ok(page) if page.is_leaf => page,
            Err(err) if err.kind() == ErrorKind::Io => return Err(err),
            Ok(_) | Err(_) => {
                is_sound = false;
                continue;
            }
        };
        page.touch_cells();
        for idx in 0..page.n_cells() {
            let Ok(cell) = page.cell(idx) else {
                is_sound = false;
                continue;
            };
            unit.decoded_bytes += cell.n_payload.min(n_most);
            let head = columns.head(page.local(&cell), cell.n_payload).ok().flatten();
            let time = head.as_ref().and_then(|it| u64::try_from(it.time?).ok());
            let Some((head, time)) = head.zip(time) else {
                is_sound = false;
                continue;
            };
            channels.push(head.channel);
            let (first, last) = times.unwrap_or((time, time));
            times = Some((first.min(time), last.max(time)));
        }
    }
    if is_sound {
        channels.sort_unstable();
        unit.counts = Some(channels.chunk_by(u32::eq).map(|it| (it[0], it.len() as u64)).collect());
        unit.times = times.map_or(Times::Nothing, |(first, last)| Times::Within(first, last));
    }
    Ok(())
}
