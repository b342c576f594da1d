use std::path::Path;

use nodedata_core::{Error, ErrorKind, Formats, Locus, Progress, Result};
use nodedata_dataset::{Dataset, DatasetWriter, InputSeen, Unit};
use nodedata_io::io_error;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ConvertOptions, Converted,
    convert::with_threads,
    drive::State,
    execute::Prepared,
    inputs::InputHashes,
    journal::take_over,
    learned::Learned,
    run::{Present, Reused, Run, told_if_stopped, unchanged},
};

/// A conversion cut into units that any number of workers make, on any machines that see the same files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// `plan/1`.
    pub nd: String,
    /// Tool and version; another one may cut differently, and is refused.
    pub created_by: String,
    /// What the command line needs to know to make the same options again.
    pub job: Value,
    /// Recipe of the dataset.
    pub recipe: String,
    /// Whether the dataset takes the place of one that is there.
    pub replaces: bool,
    /// The inputs as they were when the plan was made.
    pub inputs: Vec<PlannedInput>,
    /// The units, in order. Their number does not depend on that of the workers.
    pub units: Vec<PlannedUnit>,
    /// What planning learned by reading all of the inputs, so that no worker repeats it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<Learned>,
}

/// An input of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedInput {
    /// Relative to SRC.
    pub path: String,
    /// Length.
    pub bytes: u64,
    /// BLAKE3-256, 64 hex digits.
    pub b3: String,
    /// See [`nodedata_core::Files::stamp`]; an input that still has it is not read to be recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
}

/// A unit of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedUnit {
    /// What its shards are called, such as `train-00003`.
    pub name: String,
    /// Its recipe.
    pub recipe: String,
    /// Partitions of the source.
    pub partitions: usize,
    /// Bytes of their records.
    pub bytes: u64,
}

/// Which units of a plan one worker makes: every `of`-th, from `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Counts from 0.
    pub index: usize,
    /// Number of workers.
    pub of: usize,
}

/// What a worker did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Worked {
    /// Units of its share.
    pub units: usize,
    /// Those it made.
    pub made: usize,
    /// Those that were finished already.
    pub reused: usize,
}

/// Plans a conversion: metadata, and the hashes of the inputs. `job` is kept in the plan for the caller.
///
/// # Errors
/// `Config` for wrong options or an output that is not to be replaced, and what opening and reading the
/// source report.
pub fn plan(formats: &Formats, options: &ConvertOptions, job: Value) -> Result<Plan> {
    with_threads(options, || plan_run(&Run::open(formats, options.clone())?, job))
}

/// Plans a pipeline whose gate has been passed, as [`plan`] does.
///
/// # Errors
/// As [`plan`].
pub fn plan_prepared(prepared: &Prepared, job: Value) -> Result<Plan> {
    with_threads(&prepared.run.options, || plan_run(&prepared.run, job))
}

fn plan_run(run: &Run, job: Value) -> Result<Plan> {
    nodedata_dataset::recover(&run.options.out)?;
    let mut hashes = run.hashes();
    let mut writer_options = run.writer_options();
    match run.present(&mut hashes)? {
        // Nothing is to be done, and the workers will find that out.
        Present::Same(_) => {}
        Present::Other(dataset) => {
            writer_options.overwrite |= run.extends(&dataset, &mut hashes)?;
            nodedata_dataset::refuse_existing(&writer_options)?;
        }
        Present::Nothing => nodedata_dataset::refuse_existing(&writer_options)?,
    }
    let digests = hashes.digests()?;
    let seen = hashes.seen()?;
    let stamp = |path: &str| seen.iter().find(|it| it.path == path).map(|it| it.stamp.clone());
    let learned = Learned::of(&run.opened, Some(&digests))?;
    let entries = run.input_entries(&digests);
    let recipe = run.recipe(&entries);
    let inputs = entries
        .into_iter()
        .map(|it| PlannedInput { stamp: stamp(&it.path), path: it.path, bytes: it.bytes, b3: it.b3 })
        .collect();
    let units = nodedata_dataset::plan_units(run.source(), &writer_options);
    let recipes = nodedata_dataset::plan_recipes(&units, run.source(), &writer_options);
    let partitions = &run.opened.source.plan().partitions;
    let planned = |(unit, recipe): (&Unit, String)| PlannedUnit {
        name: unit.name(&writer_options.splits),
        recipe,
        partitions: unit.partitions.len(),
        bytes: unit.partitions.iter().map(|it| partitions[*it].decoded_bytes).sum(),
    };
    Ok(Plan {
        nd: "plan/1".to_owned(),
        created_by: nodedata_dataset::created_by(),
        job,
        recipe,
        replaces: writer_options.overwrite,
        inputs,
        units: units.iter().zip(recipes).map(planned).collect(),
        learned,
    })
}

impl Plan {
    /// Reads the plan at `path`.
    ///
    /// # Errors
    /// `Io` when it is not there, `Corrupt` when it is no plan, `Unsupported` when another version made it.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|err| io_error("cannot read the plan", path, err))?;
        let plan: Self = serde_json::from_str(&text).map_err(|err| {
            Error::new(ErrorKind::Corrupt, "the file is no plan")
                .with_source(err)
                .at(Locus::path(path))
                .with_hint("name the file that `node-data plan … --plan FILE` wrote")
        })?;
        let us = nodedata_dataset::created_by();
        if plan.nd != "plan/1" || plan.created_by != us {
            let message = format!("the plan was made by {}, and this is {us}", plan.created_by);
            return Err(Error::new(ErrorKind::Unsupported, message)
                .at(Locus::path(path))
                .with_hint("run `node-data plan` again with this version, or use that one everywhere"));
        }
        Ok(plan)
    }

    /// The plan as text.
    ///
    /// # Errors
    /// Never for a plan that [`plan`] made.
    pub fn to_json(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self).map_err(std::io::Error::from)?;
        text.push('\n');
        Ok(text)
    }

    /// Refuses a source that is cut in another way than it was: rows would come twice, or not at all.
    fn check_units(&self, recipes: &[String]) -> Result<()> {
        if self.units.iter().map(|it| &it.recipe).eq(recipes) {
            return Ok(());
        }
        Err(changed("the source, or what the plan says to do with it, is not what was planned"))
    }

    /// Refuses inputs that hold something else than they did. Those that look the same are not read.
    fn check_inputs(&self, run: &Run, wanted: &[usize], hashes: &mut InputHashes) -> Result<()> {
        let seen = self.inputs.iter().filter_map(|it| {
            Some(InputSeen { path: it.path.clone(), stamp: it.stamp.clone()?, b3: it.b3.clone() })
        });
        hashes.trust(&seen.collect::<Vec<_>>());
        for input in wanted {
            let found = &run.opened.source.plan().inputs[*input];
            let path = found.path.display().to_string();
            let planned = self.inputs.iter().find(|it| it.path == path);
            let is_same = match planned {
                Some(planned) => {
                    planned.bytes == found.n_bytes && planned.b3 == hashes.prove(*input, u64::MAX)?.b3
                }
                None => false,
            };
            if !is_same {
                let message = "the input is not what it was when the plan was made";
                return Err(changed(message).at(Locus::path(&found.path)));
            }
        }
        Ok(())
    }

    /// The dataset at the output: the one planned, or one that it takes the place of.
    fn present(&self, out: &Path) -> Present {
        match Dataset::open(out) {
            Ok(dataset) if dataset.manifest.recipe == self.recipe => Present::Same(dataset),
            Ok(dataset) => Present::Other(dataset),
            Err(_) => Present::Nothing,
        }
    }
}

/// Makes one worker's share of a plan. What is finished already is left as it is, so any worker may run any
/// number of times, and several may do the same at once.
///
/// # Errors
/// `Conflict` when the source has changed since the plan was made, or a run that wants the output for itself
/// is at work; else as [`crate::convert`].
pub fn work(
    formats: &Formats,
    options: &ConvertOptions,
    plan: &Plan,
    share: Share,
    progress: &dyn Progress,
) -> Result<Worked> {
    with_threads(options, || {
        let run = Run::open_planned(formats, options.clone(), plan)?;
        let mine: Vec<usize> = (0..plan.units.len()).filter(|it| it % share.of == share.index).collect();
        let all_done = Worked { units: mine.len(), made: 0, reused: mine.len() };
        let present = match plan.present(&options.out) {
            Present::Same(_) => return Ok(all_done),
            Present::Other(dataset) => Some(dataset),
            Present::Nothing => None,
        };
        let mut writer = DatasetWriter::join(run.source(), run.writer_options())?;
        plan.check_units(writer.recipes())?;
        let mut state = State::new(run.hashes());
        let partitions = &run.opened.source.plan().partitions;
        let of_mine = mine.iter().flat_map(|it| &writer.units()[*it].partitions);
        let mut inputs: Vec<usize> =
            of_mine.flat_map(|it| &partitions[*it].reads).map(|it| it.input).collect();
        inputs.sort_unstable();
        inputs.dedup();
        plan.check_inputs(&run, &inputs, &mut state.hashes)?;
        let done = take_over(&mut writer, present.as_ref(), &mine, &mut state.hashes)?;
        let is_done = |unit: &usize| done.iter().any(|it| it.unit == *unit);
        let todo: Vec<usize> = mine.iter().copied().filter(|it| !is_done(it)).collect();
        run.make(&mut writer, &todo, &mut state, true, progress).map_err(|err| {
            unplanned(told_if_stopped(err, done.len() + state.n_kept, mine.len(), &state.begun))
        })?;
        Ok(Worked { made: todo.len(), reused: mine.len() - todo.len(), ..all_done })
    })
}

/// Folds the units that workers made into the dataset.
///
/// # Errors
/// `Conflict` when units are missing, the source has changed since the plan was made, or a worker is still
/// at work; else as [`crate::convert`].
pub fn finish(
    formats: &Formats,
    options: &ConvertOptions,
    plan: &Plan,
    progress: &dyn Progress,
) -> Result<Converted> {
    with_threads(options, || {
        nodedata_dataset::recover(&options.out)?;
        let run = Run::open_planned(formats, options.clone(), plan)?;
        let present = match plan.present(&options.out) {
            Present::Same(dataset) => return unchanged(dataset),
            Present::Other(dataset) => Some(dataset),
            Present::Nothing => None,
        };
        let mut writer_options = run.writer_options();
        writer_options.overwrite = plan.replaces;
        let units = nodedata_dataset::plan_units(run.source(), &writer_options);
        plan.check_units(&nodedata_dataset::plan_recipes(&units, run.source(), &writer_options))?;
        let mut hashes = run.hashes();
        let inputs: Vec<usize> = (0..run.opened.source.plan().inputs.len()).collect();
        plan.check_inputs(&run, &inputs, &mut hashes)?;
        // A table of episodes decides what is said of them, and is no input.
        if run.recipe(&run.input_entries(&hashes.digests()?)) != plan.recipe {
            return Err(changed("what the plan says to do is not what was planned"));
        }
        let mut writer = DatasetWriter::create(run.source(), writer_options)?;
        let all: Vec<usize> = (0..plan.units.len()).collect();
        let done = take_over(&mut writer, present.as_ref(), &all, &mut hashes)?;
        let is_done = |unit: &usize| done.iter().any(|it| it.unit == *unit);
        let missing: Vec<&str> =
            all.iter().filter(|it| !is_done(it)).map(|it| plan.units[*it].name.as_str()).collect();
        if !missing.is_empty() {
            return Err(unfinished(&missing, plan.units.len()));
        }
        progress.finishing();
        run.finish(
            writer,
            hashes,
            Reused { n_units: done.len(), n_records: None, made_bytes: None },
            Default::default(),
        )
    })
}

/// Units named in an error; the rest are counted.
const NAMED: usize = 8;

fn unfinished(missing: &[&str], n_units: usize) -> Error {
    let named = missing[..missing.len().min(NAMED)].join(", ");
    let others = match missing.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(" and {n} others"),
    };
    let message = format!("{} of {n_units} units are not finished: {named}{others}", missing.len());
    Error::new(ErrorKind::Conflict, message).with_hint(
        "run the workers again, or `node-data work --plan FILE --index 0 --of 1`: only these are made",
    )
}

/// A record that does not fit its columns: a plan is made without reading, so that no worker may give its stream others.
fn unplanned(err: Error) -> Error {
    if err.kind() != ErrorKind::Misfit {
        return err;
    }
    err.with_hint(
        "`node-data convert` keeps such messages, because one run reads all of them; or plan again with the topic `--undecoded`",
    )
}

fn changed(message: &str) -> Error {
    Error::new(ErrorKind::Conflict, message)
        .with_hint("run `node-data plan` again: units whose rows are the same are not made again")
}
