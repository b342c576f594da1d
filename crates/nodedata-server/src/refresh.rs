//! Keeps the catalog what the logs say.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use nodedata_core::{ErrorKind, Result};
use nodedata_registry::{DatasetName, layout};

use crate::{
    app::App,
    catalog::{Listed, Query},
};

/// Datasets whose logs are looked at in one go.
const AT_ONCE: usize = 1000;
/// How often a page is held against the logs, and asked for again because somebody wrote to one of them.
const TRIES: usize = 3;

impl App {
    /// Looks through the store for datasets and records that came past this server. Of what is known only the place of the
    /// next record is looked at.
    ///
    /// # Errors
    /// `Io` when the store or the catalog fails. A dataset whose log is damaged hides no others.
    pub(crate) fn refresh(&self) -> Result<()> {
        self.catalog.sweep(false, || self.look_through())
    }

    /// Sees to it that the catalog knows of everything that was there at the start; of all there is now, where it is to look
    /// every time.
    ///
    /// # Errors
    /// As [`Self::refresh`].
    pub(crate) fn expect_swept(&self) -> Result<()> {
        match self.options.refresh_every.is_zero() {
            true => self.refresh(),
            false if self.catalog.is_swept() => Ok(()),
            false => self.catalog.sweep(true, || self.look_through()),
        }
    }

    fn look_through(&self) -> Result<()> {
        // Asked first: what is taken in while the store is looked through is not gone because it was not there before.
        let mut known = self.catalog.known()?;
        let names = self.remote.datasets()?;
        for names in names.chunks(AT_ONCE) {
            let (mut news, mut asked) = (Vec::new(), Vec::new());
            for name in names {
                match known.remove(&name.to_string()) {
                    Some(next_seq) => asked.push((name, next_seq)),
                    None => news.push(name),
                }
            }
            news.extend(self.with_news(&asked)?);
            for name in news {
                if let Ok(Some(state)) = self.views.state(&self.remote, name) {
                    self.catalog.take_in(&self.remote, &state)?;
                }
            }
        }
        known.keys().try_for_each(|it| self.catalog.forget(it))
    }

    /// Those whose next record is there.
    fn with_news<'a>(&self, asked: &[(&'a DatasetName, u64)]) -> Result<Vec<&'a DatasetName>> {
        let next: Vec<String> = asked.iter().map(|(name, seq)| layout::record(name, *seq)).collect();
        let found = self.store.heads(&next)?;
        Ok(asked.iter().zip(found).filter_map(|((name, _), found)| found.map(|_| *name)).collect())
    }

    /// A page of the datasets as their logs say now: its cost is that of the page, however many there are.
    ///
    /// # Errors
    /// As [`crate::catalog::Catalog::page`].
    pub(crate) fn listed(&self, query: &Query) -> Result<Listed> {
        let listed = self.listed_now(query)?;
        self.metrics.list_steps.fetch_add(listed.n_steps, Ordering::Relaxed);
        Ok(listed)
    }

    fn listed_now(&self, query: &Query) -> Result<Listed> {
        self.expect_swept()?;
        let mut current = BTreeSet::<DatasetName>::new();
        let mut listed = self.catalog.page(query)?;
        for _ in 0..TRIES {
            // Who may see a dataset is what its last record says, not what it said when it was looked at.
            let open = listed.datasets.iter().filter(|(it, _)| !current.contains(&it.name));
            let asked: Vec<_> = open.map(|(it, next_seq)| (&it.name, *next_seq)).collect();
            let news = self.with_news(&asked)?;
            for name in &news {
                match self.views.state(&self.remote, name) {
                    Ok(Some(state)) => self.catalog.take_in(&self.remote, &state)?,
                    // Nobody knows who may see it: it is listed again when its log can be read again.
                    Ok(None) => self.catalog.forget(&name.to_string())?,
                    Err(err) if err.kind() == ErrorKind::Corrupt => self.catalog.forget(&name.to_string())?,
                    Err(err) => return Err(err),
                }
            }
            let is_current = news.is_empty();
            current.extend(asked.into_iter().map(|(name, _)| name.clone()));
            if is_current {
                return Ok(listed);
            }
            listed = self.catalog.page(query)?;
        }
        // Others took the places of those that were hidden, again and again: none is told that was not looked at.
        listed.datasets.retain(|(it, _)| current.contains(&it.name));
        Ok(listed)
    }
}
