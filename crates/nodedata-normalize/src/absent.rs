use std::collections::BTreeMap;

use arrow_array::BooleanArray;
use nodedata_core::{Fate, Finding, StreamId};

use crate::{
    align::{Choice, NO_ROW},
    flat::NamePlaces,
    mapping::{Field, Mapping, Pick},
    track::Track,
};

/// The steps whose messages lack names that a field wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Absent {
    /// By name, which steps.
    by_name: BTreeMap<String, Vec<bool>>,
}

impl Absent {
    /// Looks through the messages that were chosen for the steps; `None` for a field that wants no names.
    pub(crate) fn of(
        field: &Field,
        mapping: &Mapping,
        tracks: &[Track],
        choices: &[Option<Choice>],
        n_steps: usize,
    ) -> Option<Self> {
        let mut absent: Option<Self> = None;
        for part in field.value.parts() {
            let (Pick::Names { at, wanted }, Some(choice)) = (&part.pick, &choices[part.stream]) else {
                continue;
            };
            let absent = absent.get_or_insert_default();
            let data_type = mapping.streams[part.stream].schema.field(*at).data_type();
            for rows in [&choice.rows, &choice.after] {
                let places = NamePlaces::new(wanted, &tracks[part.stream].gather(*at, data_type, rows));
                for step in (0..rows.len()).filter(|it| rows[*it] != NO_ROW) {
                    for (name, place) in wanted.iter().zip(places.of(step)) {
                        if place.is_none() {
                            absent.add(name, step, n_steps);
                        }
                    }
                }
            }
        }
        absent
    }

    fn add(&mut self, name: &str, step: usize, n_steps: usize) {
        if !self.by_name.contains_key(name) {
            self.by_name.insert(name.to_owned(), vec![false; n_steps]);
        }
        if let Some(steps) = self.by_name.get_mut(name) {
            steps[step] = true;
        }
    }

    /// A name that the message of a step lacks.
    pub(crate) fn at(&self, step: usize) -> Option<&str> {
        self.by_name.iter().find(|(_, steps)| steps[step]).map(|(name, _)| name.as_str())
    }

    /// Adds to what is known of how many steps lack each name, under the names that ledgers give them.
    pub(crate) fn count(&self, feature: &str, into: &mut BTreeMap<String, u64>) {
        for (name, steps) in &self.by_name {
            let n = steps.iter().filter(|it| **it).count() as u64;
            *into.entry(format!("{feature}.{name}")).or_default() += n;
        }
    }
}

/// Steps without a value, while the fields are filled.
pub(crate) struct Missing {
    /// Why steps are left out; the first reason counts. Empty where none is.
    left_out: Vec<Option<&'static str>>,
    /// By field and name, how many steps lack it.
    pub(crate) absent: BTreeMap<String, u64>,
    /// By field, how many steps have no message in reach.
    pub(crate) beyond: BTreeMap<String, u64>,
    /// Why steps are without a value, where that is told.
    pub(crate) warnings: Vec<Finding>,
    n_steps: usize,
    stream: StreamId,
}

impl Missing {
    pub(crate) fn new(stream: StreamId, n_steps: usize) -> Self {
        Self {
            left_out: Vec::new(),
            absent: BTreeMap::new(),
            beyond: BTreeMap::new(),
            warnings: Vec::new(),
            n_steps,
            stream,
        }
    }

    pub(crate) fn leave_out(&mut self, step: usize, reason: &'static str) {
        self.left_out.resize(self.n_steps, None);
        self.left_out[step].get_or_insert(reason);
    }

    pub(crate) fn is_left_out(&self, step: usize) -> bool {
        self.left_out.get(step).is_some_and(Option::is_some)
    }

    /// Which steps stay; `None` for all of them.
    pub(crate) fn kept(&self) -> Option<BooleanArray> {
        let kept = || self.left_out.iter().map(Option::is_none).collect::<Vec<_>>();
        (!self.left_out.is_empty()).then(|| kept().into())
    }

    /// `None` when there is nothing to tell.
    pub(crate) fn fate(self) -> Option<Fate> {
        let told = Fate::new(self.stream);
        let mut fate = Fate { absent: self.absent, beyond_tolerance: self.beyond, ..told };
        for reason in self.left_out.into_iter().flatten() {
            *fate.dropped.entry(reason).or_default() += 1;
        }
        let has_any =
            !fate.absent.is_empty() || !fate.beyond_tolerance.is_empty() || !fate.dropped.is_empty();
        has_any.then_some(fate)
    }
}
