use std::collections::{BTreeMap, BTreeSet};

use arrow_array::{Array, ArrayRef, cast::AsArray};
use arrow_schema::DataType;
use nodedata_core::{ReadOptions, Result, Source, placed::Mistake, suggest};

use crate::{
    StepSpec,
    loaded::Loaded,
    mapping::{Mapping, Pick},
    recording::Recording,
    store::{Held, Store},
};

/// Names of one array that are remembered for hints: they come from files.
const REMEMBERED_MAX: usize = 256;

/// Which of the names that fields want have been met in a message. Only one message has to hold a name; one that
/// none holds is a mistake of whoever wrote it, not a gap in the data.
#[derive(Debug, Default)]
pub(crate) struct NamesMet {
    /// By mapped stream and its column of names.
    arrays: BTreeMap<(usize, usize), Met>,
}

#[derive(Debug, Default)]
struct Met {
    missing: BTreeSet<String>,
    met: BTreeSet<String>,
}

impl NamesMet {
    /// Nothing met yet.
    pub(crate) fn new(mapping: &Mapping) -> Self {
        let mut arrays: BTreeMap<(usize, usize), Met> = BTreeMap::new();
        for part in mapping.fields.iter().flat_map(|it| it.value.parts()) {
            if let Pick::Names { at, wanted } = &part.pick {
                let met = arrays.entry((part.stream, *at)).or_default();
                met.missing.extend(wanted.iter().cloned());
            }
        }
        Self { arrays }
    }

    /// The streams with a name that no message held so far.
    fn open(&self) -> BTreeSet<usize> {
        self.arrays.iter().filter(|(_, it)| !it.missing.is_empty()).map(|((stream, _), _)| *stream).collect()
    }

    /// Looks through what was decoded anyway.
    pub(crate) fn take_in(&mut self, loaded: &Loaded) {
        for ((stream, at), met) in &mut self.arrays {
            for batch in &loaded.streams[*stream].batches {
                met.take_in(batch.rows.column(*at));
            }
        }
    }

    /// Reads on until every name was met, or everything was read: a name is unknown only when no message holds it.
    ///
    /// # Errors
    /// What reading reports.
    pub(crate) fn read_on(&mut self, store: &Store, recordings: &[Recording]) -> Result<()> {
        let nothing_held = Held::new();
        for partition in recordings.iter().flat_map(|it| it.survey.partitions.iter()) {
            let open = self.open();
            if open.is_empty() {
                break;
            }
            for stream in open {
                let loaded = store.stream_of(*partition, stream, &nothing_held)?;
                self.take_in(&loaded);
            }
        }
        Ok(())
    }

    /// As [`Self::read_on`], of a source of steps.
    ///
    /// # Errors
    /// What reading reports; damage is met again, and counted, by the run.
    pub(crate) fn read_steps(&mut self, source: &dyn Source, mapping: &Mapping) -> Result<()> {
        for partition in 0..source.plan().partitions.len() {
            if self.open().is_empty() {
                break;
            }
            let mut reading = source.read(partition, &ReadOptions::default())?;
            loop {
                let batch = match reading.next_batch() {
                    Ok(Some(batch)) => batch,
                    Ok(None) => break,
                    Err(err) if err.loss().is_some() => continue,
                    Err(err) => return Err(err),
                };
                for ((stream, at), met) in &mut self.arrays {
                    met.take_in(batch.rows.column(mapping.streams[*stream].columns[*at]));
                }
            }
        }
        Ok(())
    }

    /// The names that no message holds.
    pub(crate) fn mistakes(&self, spec: &StepSpec, mapping: &Mapping) -> Vec<Mistake> {
        let mut mistakes: Vec<Mistake> = Vec::new();
        for (field, mapped) in spec.fields.iter().zip(&mapping.fields) {
            for part in mapped.value.parts() {
                let Pick::Names { at, wanted } = &part.pick else { continue };
                let Some(met) = self.arrays.get(&(part.stream, *at)) else { continue };
                for (idx, name) in wanted.iter().enumerate().filter(|(_, it)| met.missing.contains(*it)) {
                    let topic = &mapping.streams[part.stream].name;
                    let mistake = Mistake::new(
                        format!("fields.{}.by_name[{idx}]", field.name),
                        format!("no message of `{topic}` holds the name `{name}`"),
                    );
                    let mistake = mistake.with_hint(suggest(name, met.met.iter().map(String::as_str)));
                    if !mistakes.contains(&mistake) {
                        mistakes.push(mistake);
                    }
                }
            }
        }
        mistakes
    }
}

impl Met {
    fn take_in(&mut self, names: &ArrayRef) {
        let texts = match names.data_type() {
            DataType::List(_) => names.as_list::<i32>().values(),
            _ => names.as_fixed_size_list().values(),
        };
        for text in texts.as_string::<i32>().iter().flatten() {
            // Once all are there, nobody needs a hint.
            if self.missing.is_empty() {
                break;
            }
            self.missing.remove(text);
            if self.met.len() < REMEMBERED_MAX && !self.met.contains(text) {
                self.met.insert(text.to_owned());
            }
        }
    }
}
