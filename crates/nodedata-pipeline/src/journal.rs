use std::collections::{BTreeMap, BTreeSet};

use nodedata_core::{EpisodeFacts, Error, ErrorKind, Finding, FindingKind, Findings, Result, SourcePlan};
use nodedata_dataset::{Candidate, Dataset, DatasetWriter, InputSeen, Ledger, UnitInput};
use nodedata_schema::{Observations, SchemaBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    inputs::InputHashes,
    made_videos::{MadeVideo, MadeVideos},
    steps::add_fates,
    window::ReadPart,
};

/// What a run learns of the rows of one unit besides what their writer sees. It is kept with the unit, so that
/// a later run, which does not read them, can report the same.
pub(crate) struct UnitState {
    pub(crate) inferred: SchemaBuilder,
    pub(crate) videos: MadeVideos,
    pub(crate) told: Told,
}

/// What reading tells besides rows.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) ledger: Ledger,
    pub(crate) damage: Findings,
    /// By episode, what only its rows told.
    pub(crate) facts: BTreeMap<usize, EpisodeFacts>,
    /// What its rows gave to remark.
    pub(crate) warnings: Findings,
}

/// [`UnitState`] as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    observed: Observations,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    videos: Vec<MadeVideo>,
    ledger: Ledger,
    damage: Findings,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    facts: BTreeMap<usize, EpisodeFacts>,
    #[serde(default, skip_serializing_if = "Findings::is_empty")]
    warnings: Findings,
}

impl UnitState {
    /// Nothing read yet.
    pub(crate) fn new(plan: &SourcePlan) -> Self {
        Self {
            inferred: SchemaBuilder::new(&plan.streams),
            videos: MadeVideos::default(),
            told: Told::default(),
        }
    }

    /// As a record keeps it.
    pub(crate) fn keep(self) -> Result<Value> {
        let Self { inferred, videos, told: Told { ledger, damage, facts, warnings } } = self;
        let (observed, videos) = (inferred.observations(), videos.into_record());
        let kept = Kept { observed, videos, ledger, damage, facts, warnings };
        Ok(serde_json::to_value(kept).map_err(std::io::Error::from)?)
    }

    /// Takes in what the record of the next unit says.
    pub(crate) fn join(&mut self, record: Value) -> Result<()> {
        let misfit = || {
            Error::new(ErrorKind::Corrupt, "the record of a finished unit does not fit its source")
                .with_hint("remove the hidden `.partial` folder beside the output, and run again")
        };
        let kept: Kept = serde_json::from_value(record).map_err(|err| misfit().with_source(err))?;
        let Kept { observed, videos, ledger, damage, facts, warnings } = kept;
        self.videos.join(videos);
        self.told.join(Told { ledger, damage, facts, warnings });
        if self.inferred.take_in(&observed) { Ok(()) } else { Err(misfit()) }
    }
}

impl Told {
    /// Counts what a partition gave.
    pub(crate) fn account(&mut self, part: &ReadPart, plan: &SourcePlan) {
        for (stream, n) in &part.records_read {
            if let Some(name) = plan.stream_name(*stream) {
                self.ledger.entry(name.to_string()).or_default().read += n;
            }
        }
        add_fates(&mut self.ledger, &part.fates, plan);
        for err in &part.damage {
            let name = |it| plan.stream_name(it).map(|it| it.to_string());
            self.lose(Finding::new(FindingKind::Damage, err, name));
        }
        for finding in &part.warnings {
            self.keep_as_bytes(finding);
            self.warnings.push(finding.clone());
        }
        if let Some(facts) = &part.facts {
            self.learn(plan.partitions[part.partition].episode, facts.clone());
        }
    }

    /// Counts the damage met while opening: its records were seen by nobody else.
    pub(crate) fn account_opening(&mut self, plan: &SourcePlan) {
        for finding in plan.findings_of(FindingKind::Damage) {
            for (stream, n) in &finding.records {
                self.ledger.entry(stream.clone()).or_default().read += n;
            }
            self.lose(finding.clone());
        }
    }

    fn lose(&mut self, damage: Finding) {
        for (stream, n) in &damage.records {
            let dropped = &mut self.ledger.entry(stream.clone()).or_default().dropped;
            *dropped.entry(damage.reason.clone()).or_default() += n;
        }
        self.damage.push(damage);
    }

    /// Counts rows that hold their record as it came.
    fn keep_as_bytes(&mut self, finding: &Finding) {
        for (stream, n) in &finding.records {
            let kept = &mut self.ledger.entry(stream.clone()).or_default().kept_as_bytes;
            *kept.entry(finding.reason.clone()).or_default() += n;
        }
    }

    /// Parts of an episode add to what the parts before them told.
    fn learn(&mut self, episode: usize, facts: EpisodeFacts) {
        let known = self.facts.entry(episode).or_default();
        known.task = facts.task.or(known.task.take());
        known.metadata.extend(facts.metadata);
    }

    /// Takes in what was told of the rows that follow.
    pub(crate) fn join(&mut self, next: Self) {
        for (stream, entry) in &next.ledger {
            self.ledger.entry(stream.clone()).or_default().add(entry);
        }
        self.damage.join(next.damage);
        self.warnings.join(next.warnings);
        next.facts.into_iter().for_each(|(episode, facts)| self.learn(episode, facts));
    }
}

/// Takes over every finished unit of `mine` whose inputs are what they were, from the dataset that is
/// `present` as well.
pub(crate) fn take_over(
    writer: &mut DatasetWriter,
    present: Option<&Dataset>,
    mine: &[usize],
    hashes: &mut InputHashes,
) -> Result<Vec<Candidate>> {
    let mut candidates = writer.candidates(present);
    candidates.retain(|it| mine.contains(&it.unit));
    let proofs: Vec<&UnitInput> = candidates.iter().flat_map(|it| &it.inputs).collect();
    let mut holds = hashes.check(&proofs)?.into_iter();
    let sound: Vec<bool> = candidates
        .iter()
        // All of them are taken from the iterator, whatever the first of them says.
        .map(|it| holds.by_ref().take(it.inputs.len()).filter(|it| !it).count() == 0)
        .collect();
    let known: BTreeSet<usize> = candidates.iter().map(|it| it.unit).collect();
    let mut sound = sound.into_iter();
    candidates.retain(|_| sound.next().unwrap_or(false));
    let done = writer.adopt(&candidates, mine)?;
    candidates.retain(|it| done.contains(&it.unit));
    tell(mine, &known, &candidates);
    Ok(candidates)
}

/// Which units are used again, and why others are not.
fn tell(mine: &[usize], known: &BTreeSet<usize>, reused: &[Candidate]) {
    let reused: BTreeSet<usize> = reused.iter().map(|it| it.unit).collect();
    for unit in mine {
        match (reused.contains(unit), known.contains(unit)) {
            (true, _) => tracing::info!(unit, "unit is used again"),
            (false, true) => {
                tracing::info!(
                    unit,
                    why = "its inputs have changed, or its files are damaged",
                    "unit is to be made"
                );
            }
            (false, false) => {
                tracing::info!(unit, why = "none with its recipe is there", "unit is to be made");
            }
        }
    }
}

/// What to trust of an earlier run's report.
pub(crate) fn seen_before(dataset: &Dataset) -> Vec<InputSeen> {
    // Without a report everything is read again, which is right as well.
    dataset.report().map(|it| it.inputs_seen).unwrap_or_default()
}
