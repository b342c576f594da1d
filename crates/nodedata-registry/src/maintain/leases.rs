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

    /// Takes the leases away that had run out when they were read, and says how many. One that was written anew since is that of a
    /// push that is under way again, under the same name.
    pub(super) fn remove_expired(&self, store: &Store) -> Result<u64> {
        let mut n_removed = 0;
        for lease in &self.expired {
            // Buckets tell parts of seconds in lists alone.
            let is_same = |it: &ObjectInfo| it.modified.timestamp() == lease.modified.timestamp();
            if store.head(&lease.path)?.as_ref().is_some_and(is_same) {
                store.delete(&lease.path)?;
                n_removed += 1;
            }
        }
        Ok(n_removed)
    }
}

/// Refuses a lease that lies under the name of another push.
fn of_its_name(lease: Lease, path: &str) -> Result<Lease> {
    match layout::lease(&lease.push) == path {
        true => Ok(lease),
        false => Err(Error::new(ErrorKind::Corrupt, "it is of another push")),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{maintain::collecting::clock, record::to_canonical};

    /// A push that was killed two days ago is run again under its name while a collection looks at what has run out.
    #[test]
    fn a_lease_that_was_written_anew_has_not_run_out() {
        let store = Store::memory();
        for push in ["again", "gone"] {
            let lease =
                Lease::new(push, &"acme/x".parse().unwrap(), vec![B3::of(b"blob")], LEASE_SECONDS).unwrap();
            store.put(&layout::lease(push), to_canonical(&lease).unwrap().into()).unwrap();
        }
        let later = clock(&store).unwrap() + TimeDelta::days(3);
        let mut leased = Leased::read(&store, later).unwrap();
        assert_eq!((leased.n_leases, leased.expired.len()), (0, 2));
        // As it was listed: what lies there now was written three days later.
        let again = leased.expired.iter_mut().find(|it| it.path == layout::lease("again")).unwrap();
        again.modified -= TimeDelta::days(3);
        assert_eq!(leased.remove_expired(&store).unwrap(), 1);
        assert!(store.get(&layout::lease("again")).unwrap().is_some());
        assert_eq!(store.get(&layout::lease("gone")).unwrap(), None);
    }
}
