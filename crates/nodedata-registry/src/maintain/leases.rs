use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use nodedata_core::{Error, ErrorKind, Result};

use crate::{
    digest::B3,
    direct::LEASE_SECONDS,
    layout,
    record::Lease,
    store::{ObjectInfo, Store},
};

/// What pushes under way need.
#[derive(Debug, Default)]
pub(super) struct Leased {
    /// Pushes.
    pub(super) n_leases: u64,
    /// What they need.
    pub(super) blobs: BTreeSet<B3>,
    /// Leases that cannot be read, and why: what these pushes need is not known.
    pub(super) broken: Vec<(String, String)>,
    /// Leases that have run out. One that cannot be read lives as long as any.
    pub(super) expired: Vec<ObjectInfo>,
}

impl Leased {
    pub(super) fn read(store: &Store, now: DateTime<Utc>) -> Result<Self> {
        let mut leased = Self::default();
        for object in store.list(layout::LEASES)? {
            // It may have ended since it was listed.
            let Some(bytes) = store.get(&object.path)? else { continue };
            let lease = Lease::parse(&bytes).and_then(|it| of_its_name(it, &object.path));
            let life = lease.as_ref().map_or(LEASE_SECONDS, |it| it.seconds);
            if (now - object.modified).num_seconds() > i64::try_from(life).unwrap_or(i64::MAX) {
                leased.expired.push(object);
                continue;
            }
            match lease {
                Ok(lease) => {
                    leased.n_leases += 1;
                    leased.blobs.extend(lease.blobs);
                }
                Err(err) => leased.broken.push((object.path, err.chain())),
            }
        }
        Ok(leased)
    }
}

/// Refuses a lease that lies under the name of another push.
fn of_its_name(lease: Lease, path: &str) -> Result<Lease> {
    match layout::lease(&lease.push) == path {
        true => Ok(lease),
        false => Err(Error::new(ErrorKind::Corrupt, "it is of another push")),
    }
}
