use nodedata_core::{Error, ErrorKind, Result};

use super::{Plan, PlannedSource};
use crate::{
    mixture::PLACES_MAX,
    state::{Differences, MixState, SourceState, State},
};

/// Where a stream stands: in which pass, and how many of its places were delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The first epoch of each source.
    epochs: Vec<u64>,
    /// Passes before this one. Always 0 for a single source, whose epoch says it.
    pass: u64,
    cursor: u64,
}

impl Position {
    /// The first epoch of each source.
    pub(super) fn epochs(&self) -> &[u64] {
        &self.epochs
    }

    /// Passes over a mixture before this one.
    pub(super) fn pass(&self) -> u64 {
        self.pass
    }

    /// Places of the pass that were delivered.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }
}

impl Plan {
    /// Where the plan begins.
    pub fn start(&self) -> Position {
        Position { epochs: self.sources.iter().map(PlannedSource::first_epoch).collect(), pass: 0, cursor: 0 }
    }

    /// The same pass with so many of its places delivered.
    ///
    /// # Errors
    /// `Config` for more than it has.
    pub fn with_cursor(&self, position: &Position, cursor: u64) -> Result<Position> {
        if cursor > self.n_places {
            let message = format!("place {cursor} is behind the {} of a pass", self.n_places);
            return Err(Error::new(ErrorKind::Config, message).with_hint("take a state of this stream"));
        }
        Ok(Position { cursor, ..position.clone() })
    }

    /// The beginning of the pass behind that of a position: the next epoch of a single source.
    ///
    /// # Errors
    /// `Limit` when places can be counted no further.
    pub fn next_pass(&self, position: &Position) -> Result<Position> {
        let mut next = Position { cursor: 0, ..position.clone() };
        if self.mix.is_none() {
            for epoch in &mut next.epochs {
                *epoch = epoch.wrapping_add(1);
            }
            return Ok(next);
        }
        next.pass += 1;
        self.check_pass(next.pass)?;
        Ok(next)
    }

    /// The state of a stream that stands there.
    pub fn state(&self, position: &Position) -> State {
        let Some(mix) = &self.mix else {
            let cursor = position.cursor;
            let sources = self.sources.iter().zip(&position.epochs);
            let sources = sources.map(|(source, epoch)| source.state(*epoch, cursor, false)).collect();
            let plan = self.sources.first().map(|it| it.order_state().clone());
            return State::new(sources, plan, None, cursor);
        };
        let taken = mix.mixture.taken(position.pass * self.n_places + position.cursor);
        let sources = self.sources.iter().zip(&position.epochs).zip(taken).map(|((source, epoch), taken)| {
            let n_samples = source.samples().len().max(1);
            source.state(epoch.wrapping_add(taken / n_samples), taken % n_samples, true)
        });
        let mix_state = MixState {
            seed: mix.mixture.seed(),
            shares: mix.mixture.shares().to_vec(),
            stop: mix.stop,
            pass: position.pass,
        };
        State::new(sources.collect(), None, Some(mix_state), position.cursor)
    }

    /// The state of a stream of which so many places of the pass of a position were delivered.
    pub(crate) fn state_at(&self, position: &Position, cursor: u64) -> State {
        self.state(&Position { cursor: cursor.min(self.n_places), ..position.clone() })
    }

    /// Where a stream goes on that was saved as `state`.
    ///
    /// Its epochs are those of the state, wherever this plan begins.
    ///
    /// # Errors
    /// `StateMismatch` with all that differs: the manifest, split, stream and number of samples of any source, and whatever decides the
    /// order; `Corrupt` for a state that contradicts itself.
    pub fn resume(&self, state: &State) -> Result<Position> {
        let mut differences = Differences::default();
        differences.compare("number of sources", &state.sources.len(), &self.sources.len());
        differences.compare("mixture", &state.mix.is_some(), &self.mix.is_some());
        differences.into_result()?;
        let mut differences = Differences::default();
        for (idx, (was, source)) in state.sources.iter().zip(&self.sources).enumerate() {
            let of = if self.mix.is_some() { format!("source {idx}: ") } else { String::new() };
            source.compare(&mut differences, &of, was);
            let plan = if self.mix.is_some() { &was.plan } else { &state.plan };
            let plan = plan.as_ref().ok_or_else(|| contradiction("it says no order"))?;
            differences.compare_orders(&of, plan, source.order_state());
        }
        if let (Some(was), Some(mix)) = (&state.mix, &self.mix) {
            differences.compare("mixture: seed", &was.seed, &mix.mixture.seed());
            differences.compare("mixture: shares", &was.shares, &mix.mixture.shares().to_vec());
            differences.compare("mixture: stop", &was.stop, &mix.stop);
        }
        differences.into_result()?;
        if state.cursor > self.n_places {
            return Err(contradiction("its cursor is behind the end of the pass"));
        }
        let pass = state.mix.as_ref().map_or(0, |it| it.pass);
        self.check_pass(pass)?;
        let epochs = self.first_epochs(state, pass)?;
        Ok(Position { epochs, pass, cursor: state.cursor })
    }

    /// The first epochs of the sources of a state: how far they are now, and how far they came.
    fn first_epochs(&self, state: &State, pass: u64) -> Result<Vec<u64>> {
        let Some(mix) = &self.mix else {
            let is_taken = |it: &SourceState| it.taken == state.cursor;
            return match state.sources.iter().all(is_taken) {
                true => Ok(state.sources.iter().map(|it| it.epoch).collect()),
                false => Err(contradiction("`cursor` and `taken` are not equal")),
            };
        };
        let taken = mix.mixture.taken(pass * self.n_places + state.cursor);
        let sources = state.sources.iter().zip(&self.sources).zip(taken);
        sources
            .map(|((was, source), taken)| {
                let n_samples = source.samples().len().max(1);
                match was.taken == taken % n_samples {
                    true => Ok(was.epoch.wrapping_sub(taken / n_samples)),
                    false => Err(contradiction("`taken` is not what its cursor comes to")),
                }
            })
            .collect()
    }

    fn check_pass(&self, pass: u64) -> Result<()> {
        let end = pass.checked_add(1).and_then(|it| it.checked_mul(self.n_places));
        if end.is_some_and(|it| it <= PLACES_MAX) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Limit, format!("pass {pass} is more than can be counted"))
            .with_hint("start the stream anew, with a later epoch"))
    }
}

impl PlannedSource {
    /// What a state says of it.
    fn state(&self, epoch: u64, taken: u64, is_mixed: bool) -> SourceState {
        let id = self.id().clone();
        SourceState {
            dataset: id.dataset,
            revision: id.revision,
            manifest: id.manifest,
            split: id.split,
            stream: id.stream,
            samples: self.samples().len(),
            epoch,
            taken,
            plan: is_mixed.then(|| self.order_state().clone()),
        }
    }

    /// Notes what a state says otherwise. Names of the dataset and the revision may differ: the manifest decides what they are.
    fn compare(&self, differences: &mut Differences, of: &str, was: &SourceState) {
        differences.compare(&format!("{of}manifest"), &was.manifest, &self.id().manifest);
        differences.compare(&format!("{of}split"), &was.split, &self.id().split);
        differences.compare(&format!("{of}stream"), &was.stream, &self.id().stream);
        differences.compare(&format!("{of}samples"), &was.samples, &self.samples().len());
    }
}

fn contradiction(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the state contradicts itself: {what}"))
        .with_hint("take the state as it was saved")
}
