use std::collections::{BTreeMap, BTreeSet};

use nodedata_core::Result;

use crate::{
    digest::B3,
    direct::Direct,
    layout,
    maintain::{
        collecting::{Collecting, clock},
        gc::BLOBS_AT_ONCE,
        leases::Leased,
        reach::Reach,
    },
    name::DatasetName,
    purge::{Removal, still_there},
    state::DatasetState,
};

/// Removes the blobs that the log of a dataset says are purged, unless another dataset or a push under way needs them. Those that
/// are gone already are passed over.
///
/// # Errors
/// `Conflict` when a collection is under way; `Corrupt` when a manifest cannot be read: then nothing more is removed; `Io`, `Denied`. A
/// lease that cannot be read is no error: any blob may be what its push needs, so all stay and are told.
pub(crate) fn remove_purged(direct: &Direct, dataset: &DatasetName) -> Result<Removal> {
    let store = direct.store();
    let state = DatasetState::open(direct, dataset)?;
    let named: BTreeSet<B3> = state.purged.iter().copied().collect();
    let named: Vec<B3> = named.into_iter().collect();
    let heads = store.heads(&named.iter().map(layout::blob).collect::<Vec<_>>())?;
    let there: Vec<(B3, u64)> =
        named.iter().zip(heads).filter_map(|(b3, found)| Some((*b3, found?.bytes))).collect();
    let mut removal = Removal::default();
    let mut needed: BTreeMap<B3, BTreeSet<String>> = BTreeMap::new();
    if there.is_empty() {
        return Ok(removal);
    }
    let collecting = Collecting::begin(store)?;
    let mut reach = Reach::default();
    for blobs in there.chunks(BLOBS_AT_ONCE) {
        collecting.condemn(blobs.iter().map(|(b3, _)| *b3))?;
        let swept = sweep(direct, &collecting, &mut reach, blobs, &mut removal, &mut needed);
        collecting.pardon()?;
        swept?;
    }
    removal.still_there = still_there(needed);
    Ok(removal)
}

fn sweep(
    direct: &Direct,
    collecting: &Collecting<'_>,
    reach: &mut Reach,
    blobs: &[(B3, u64)],
    removal: &mut Removal,
    needed: &mut BTreeMap<B3, BTreeSet<String>>,
) -> Result<()> {
    let store = direct.store();
    // As in a collection: leases first, records after.
    let leased = Leased::read(store, clock(store)?)?;
    let wanted: BTreeSet<B3> = blobs.iter().map(|(b3, _)| *b3).collect();
    let mut by = reach.who_needs(direct, &wanted, &|| collecting.beat())?;
    for b3 in wanted.iter().filter(|it| leased.blobs.contains(it) || !leased.broken.is_empty()) {
        by.entry(*b3).or_default().insert("a push under way".to_owned());
    }
    for (b3, n_bytes) in blobs {
        if by.contains_key(b3) {
            continue;
        }
        collecting.beat()?;
        store.delete(&layout::blob(b3))?;
        store.delete(&layout::tree(b3))?;
        removal.removed.push(*b3);
        removal.removed_bytes += n_bytes;
    }
    needed.append(&mut by);
    Ok(())
}
