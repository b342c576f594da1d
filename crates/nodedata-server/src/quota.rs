//! How much an owner and a dataset may hold. A push says at its start what it brings, and that much is set aside for it until
//! it is published, ended or forgotten; a record is held against what is there once more.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Duration, Utc};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{B3, DatasetName, LEASE_SECONDS, PUSH_BLOBS_MAX, PushRequest, record::BlobRef};

use crate::{
    app::App,
    refusal::{Answered, Refusal},
    views::DatasetView,
};

/// How much may be held. Nothing stands against it where there is no number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Bytes of all datasets of an owner, each blob counted once for each dataset. Default none.
    pub bytes_per_account: Option<u64>,
    /// Bytes of a dataset. Default none.
    pub bytes_per_dataset: Option<u64>,
}

impl Quotas {
    fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What is set aside for pushes under way, by who pushes and by the push's name.
#[derive(Debug, Default)]
pub(crate) struct Reservations(Mutex<BTreeMap<(String, String), Reserved>>);

#[derive(Debug)]
struct Reserved {
    dataset: DatasetName,
    /// Everything that was announced, and how much of it the dataset does not have.
    blobs: BTreeMap<B3, u64>,
    bytes: u64,
    until: DateTime<Utc>,
}

/// What is held already, and what else is on its way.
#[derive(Debug, Default, Clone, Copy)]
struct Held {
    dataset: u64,
    account: u64,
}

impl App {
    /// Sets aside what a push brings that its dataset does not have.
    ///
    /// # Errors
    /// 413 with the numbers when there is not that much left.
    pub(crate) fn reserve(
        &self,
        pusher: &str,
        request: &PushRequest,
        view: Option<&DatasetView>,
    ) -> Answered<()> {
        if self.options.quotas.are_none() {
            return Ok(());
        }
        let new = growth(view, &request.blobs);
        let held = self.held(&request.dataset, view)?;
        let now = self.options.clock.now();
        let key = (pusher.to_owned(), request.push.clone());
        let mut reserved = self.reservations.lock();
        reserved.retain(|_, it| it.until > now);
        let others = || reserved.iter().filter(|(it, _)| **it != key);
        let n_blobs: usize =
            others().filter(|((who, _), _)| who == pusher).map(|(_, it)| it.blobs.len()).sum();
        if (n_blobs + request.blobs.len()) as u64 > 2 * PUSH_BLOBS_MAX {
            let message = "the account's pushes under way announce too many blobs";
            return Err(Refusal::new(429, "pushes", message, "end those that are no longer needed"));
        }
        let on_their_way = on_their_way(others().map(|it| it.1), &request.dataset);
        self.expect_room(&request.dataset, new, held, on_their_way)?;
        let until = now + Duration::seconds(LEASE_SECONDS.cast_signed());
        let blobs = request.blobs.iter().map(|it| (it.b3, it.bytes)).collect();
        set_aside(
            &mut reserved,
            key,
            Reserved { dataset: request.dataset.clone(), bytes: new, blobs, until },
        );
        Ok(())
    }

    /// Refuses bytes for which nothing was set aside.
    pub(crate) fn expect_announced(&self, pusher: &str, b3: &B3) -> Answered<()> {
        if self.options.quotas.are_none() {
            return Ok(());
        }
        let now = self.options.clock.now();
        let reserved = self.reservations.lock();
        let own = reserved.iter().filter(|((who, _), it)| who == pusher && it.until > now);
        match own.map(|it| it.1).any(|it| it.blobs.contains_key(b3)) {
            true => Ok(()),
            false => {
                let fix = "push again: what was sent already is not sent twice";
                Err(Refusal::new(422, "not-announced", "no push under way announced this blob", fix))
            }
        }
    }

    /// Whether a dataset may grow by the blobs of a record.
    ///
    /// # Errors
    /// 413 with the numbers when it may not.
    pub(crate) fn expect_quota(
        &self,
        pusher: &str,
        dataset: &DatasetName,
        view: Option<&DatasetView>,
        blobs: &[BlobRef],
    ) -> Answered<()> {
        if self.options.quotas.are_none() {
            return Ok(());
        }
        let held = self.held(dataset, view)?;
        let now = self.options.clock.now();
        // What the pusher set aside for this dataset is what comes now.
        let reserved = self.reservations.lock();
        let others = reserved.iter().filter(|((who, _), it)| !(who == pusher && it.dataset == *dataset));
        let others = others.map(|it| it.1).filter(|it| it.until > now);
        self.expect_room(dataset, growth(view, blobs), held, on_their_way(others, dataset))
    }

    fn expect_room(&self, dataset: &DatasetName, new: u64, held: Held, coming: Held) -> Answered<()> {
        let quotas = &self.options.quotas;
        for (whose, quota, held, coming) in [
            (dataset.to_string(), quotas.bytes_per_dataset, held.dataset, coming.dataset),
            (dataset.owner().to_owned(), quotas.bytes_per_account, held.account, coming.account),
        ] {
            let Some(quota) = quota else { continue };
            if new > 0 && held.saturating_add(coming).saturating_add(new) > quota {
                let message = format!(
                    "this brings {new} bytes, and {whose} may have {quota}: it has {held}, and {coming} are on their way"
                );
                let err = Error::new(ErrorKind::Limit, message);
                return Err(Refusal::of(413, "quota", &err.with_hint("ask the operator for more room")));
            }
        }
        Ok(())
    }

    fn held(&self, dataset: &DatasetName, view: Option<&DatasetView>) -> Result<Held> {
        let own = view.map_or(0, DatasetView::n_bytes);
        if self.options.quotas.bytes_per_account.is_none() {
            return Ok(Held { dataset: own, account: 0 });
        }
        self.expect_swept()?;
        // Those that nobody asked for since they changed. One that is damaged counts for nothing, and stops nobody.
        for name in self.catalog.unmeasured(dataset.owner())? {
            if let Ok(Some(view)) = self.views.get(&self.remote, &name) {
                self.catalog.measured(&name, view.state.next_seq, view.n_bytes())?;
            }
        }
        Ok(Held { dataset: own, account: self.catalog.n_bytes_of(dataset.owner())? })
    }
}

impl Reservations {
    /// Gives back what a push set aside.
    pub(crate) fn end(&self, pusher: &str, push: &str) {
        self.lock().remove(&(pusher.to_owned(), push.to_owned()));
    }

    /// Sets no longer aside what a dataset has by now.
    pub(crate) fn settle(&self, view: &DatasetView) {
        for it in self.lock().values_mut().filter(|it| it.dataset == view.state.dataset) {
            let new = it.blobs.iter().filter(|(b3, _)| !view.has_blob(b3));
            it.bytes = new.fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Reserved>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For a push that announces nothing there is nothing to keep: any number of them would fit under what an account may announce.
fn set_aside(reserved: &mut BTreeMap<(String, String), Reserved>, key: (String, String), it: Reserved) {
    match it.blobs.is_empty() {
        true => drop(reserved.remove(&key)),
        false => drop(reserved.insert(key, it)),
    }
}

fn on_their_way<'a>(reserved: impl Iterator<Item = &'a Reserved>, dataset: &DatasetName) -> Held {
    let mut coming = Held::default();
    for it in reserved.filter(|it| it.dataset.owner() == dataset.owner()) {
        coming.account = coming.account.saturating_add(it.bytes);
        if it.dataset == *dataset {
            coming.dataset = coming.dataset.saturating_add(it.bytes);
        }
    }
    coming
}

/// Bytes of the blobs that a dataset does not have.
fn growth(view: Option<&DatasetView>, blobs: &[BlobRef]) -> u64 {
    let new: BTreeMap<B3, u64> = blobs
        .iter()
        .filter(|it| view.is_none_or(|view| !view.has_blob(&it.b3)))
        .map(|it| (it.b3, it.bytes))
        .collect();
    new.values().fold(0, |sum, it| sum.saturating_add(*it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_that_announces_nothing_takes_no_memory() {
        let reserved = Reservations::default();
        let of = |blobs: &[u8]| Reserved {
            dataset: "kit/x".parse().unwrap(),
            blobs: blobs.iter().map(|it| (B3::of(&[*it]), 1)).collect(),
            bytes: blobs.len() as u64,
            until: DateTime::UNIX_EPOCH,
        };
        let key = |push: &str| ("kit".to_owned(), push.to_owned());
        for push in ["a", "b", "c"] {
            set_aside(&mut reserved.lock(), key(push), of(&[]));
        }
        assert!(reserved.lock().is_empty());
        set_aside(&mut reserved.lock(), key("a"), of(&[1, 2]));
        set_aside(&mut reserved.lock(), key("b"), of(&[]));
        let dataset = "kit/x".parse().unwrap();
        let coming = |reserved: &Reservations| on_their_way(reserved.lock().values(), &dataset).dataset;
        assert_eq!(coming(&reserved), 2);
        // The same push announces anew, and that is what counts.
        set_aside(&mut reserved.lock(), key("a"), of(&[]));
        assert_eq!(coming(&reserved), 0);
    }
}
