use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use nodedata_core::{Files, Result};
use nodedata_io::FolderFiles;
use rayon::prelude::*;

use crate::{
    digest::b3_of_file,
    journal::{INPUTS, RECORD, RECORDS, ShardRecord, UnitInput, UnitRecord, read_inputs},
    manifest::InputEntry,
    read::Dataset,
    shard::unit_name,
    writer::{DatasetWriter, Plan},
};

/// A unit that some run has finished. Whether it may be used depends on its inputs: they must begin with
/// the same bytes as they did then.
#[derive(Debug)]
pub struct Candidate {
    /// Position in [`DatasetWriter::units`].
    pub unit: usize,
    /// What its inputs were.
    pub inputs: Vec<UnitInput>,
    /// Episode, position of the stream, and rows.
    pub rows: Vec<(usize, usize, u64)>,
    /// When it is part of a finished dataset: its record and its shards there.
    elsewhere: Option<(PathBuf, Vec<ShardFile>)>,
}

/// A shard as its record knows it, and where it lies.
#[derive(Debug)]
struct ShardFile {
    name: String,
    at: PathBuf,
    b3: String,
}

impl DatasetWriter {
    /// The units that are finished already: in the hidden folder, where an earlier run was interrupted or
    /// workers left them, or in the dataset that is to be replaced. A record that cannot be read, or whose
    /// shards are gone or have another size, is no candidate.
    pub fn candidates(&self, present: Option<&Dataset>) -> Vec<Candidate> {
        let plan = &self.plan;
        let found: Vec<Option<Candidate>> = (0..plan.units.len())
            .into_par_iter()
            .map(|unit| plan.staged(unit).or_else(|| plan.published(unit, present?)))
            .collect();
        found.into_iter().flatten().collect()
    }

    /// Makes the candidates, whose inputs the caller has checked, units of this dataset. Whatever else was
    /// finished is removed; when workers share the folder, only what is in the way of the units `mine`.
    /// Returns the units that need not be made.
    ///
    /// # Errors
    /// `Io`.
    pub fn adopt(&mut self, candidates: &[Candidate], mine: &[usize]) -> Result<Vec<usize>> {
        let plan = &self.plan;
        // What is there under a recipe and is no candidate was made of other inputs, or is damaged.
        let refused = mine.iter().filter(|unit| candidates.iter().all(|it| it.unit != **unit));
        for unit in refused {
            plan.staging.discard(unit_name(&plan.recipes[*unit]))?;
        }
        let adopted: Vec<Result<bool>> = candidates.par_iter().map(|it| plan.take(it)).collect();
        let mut done = Vec::new();
        for (candidate, adopted) in candidates.iter().zip(adopted) {
            if adopted? {
                done.push(candidate.unit);
            }
        }
        if !plan.staging.is_shared() {
            let wanted: BTreeSet<&str> = done.iter().map(|it| unit_name(&plan.recipes[*it])).collect();
            plan.staging.retain(|name| wanted.contains(name))?;
            let unmade = |name: &str| plan.recipes.iter().any(|it| unit_name(it) == name);
            plan.staging.retain_rows(|name| unmade(name) && !wanted.contains(name))?;
        }
        self.encoder.skip(&done);
        Ok(done)
    }
}

impl Plan {
    fn staged(&self, unit: usize) -> Option<Candidate> {
        let dir = self.staging.unit(unit_name(&self.recipes[unit]));
        let proofs = read_inputs(&dir.join(INPUTS))?;
        let proof = |path: &str| proofs.iter().find(|it| it.path == path).cloned();
        let (candidate, _) = self.candidate(unit, &dir.join(RECORD), proof, |it| Some(dir.join(&it.file)))?;
        Some(candidate)
    }

    fn published(&self, unit: usize, dataset: &Dataset) -> Option<Candidate> {
        let name = unit_name(&self.recipes[unit]);
        let root = dataset.root()?;
        let record = root.join(RECORDS).join(format!("{name}.zst"));
        // Its place may have changed since; its content has not.
        let locate = |kept: &ShardRecord| {
            let shard = dataset.manifest.shards.iter().find(|it| it.b3 == kept.b3)?;
            Some(root.join(&shard.path))
        };
        let proof = |path: &str| {
            let InputEntry { path, bytes, b3 } =
                dataset.manifest.inputs.iter().find(|it| it.path == path)?.clone();
            Some(UnitInput { path, bytes, b3 })
        };
        let (mut candidate, files) = self.candidate(unit, &record, proof, locate)?;
        candidate.elsewhere = Some((record, files));
        Some(candidate)
    }

    fn candidate(
        &self,
        unit: usize,
        record: &Path,
        proof: impl Fn(&str) -> Option<UnitInput>,
        locate: impl Fn(&ShardRecord) -> Option<PathBuf>,
    ) -> Option<(Candidate, Vec<ShardFile>)> {
        let record = UnitRecord::read(record).ok().filter(|it| it.recipe == self.recipes[unit])?;
        let inputs = record.inputs.iter().map(|it| proof(it)).collect::<Option<Vec<_>>>()?;
        let mut rows = Vec::new();
        let mut files = Vec::new();
        for kept in &record.shards {
            let stream = self.tables.iter().position(|it| *it.stream == *kept.stream)?;
            if self.tables[stream].columns_hash != kept.columns {
                return None;
            }
            let at = locate(kept)?;
            if fs::metadata(&at).ok()?.len() != kept.bytes {
                return None;
            }
            rows.extend(kept.parts.iter().map(|(episode, [start, end], ..)| (*episode, stream, end - start)));
            files.push(ShardFile { name: kept.file.clone(), at, b3: kept.b3.clone() });
        }
        Some((Candidate { unit, inputs, rows, elsewhere: None }, files))
    }

    /// What this program staged and synced is as it was. A published dataset has been in other hands: its
    /// shards are hashed before they become part of another one.
    fn take(&self, candidate: &Candidate) -> Result<bool> {
        let Some((record, files)) = &candidate.elsewhere else { return Ok(true) };
        let dir = self.staging.unit_dir()?;
        for file in files {
            if b3_of_file(&*FolderFiles::new("").open(&file.at)?)? != file.b3 {
                return Ok(false);
            }
            dir.link(&file.at, &file.name)?;
        }
        dir.link(record, RECORD)?;
        let proofs = serde_json::to_vec(&candidate.inputs).map_err(std::io::Error::from)?;
        dir.write(INPUTS, &proofs)?;
        let name = unit_name(&self.recipes[candidate.unit]);
        // A run that was killed while it removed its units may have left half of this one.
        self.staging.discard(name)?;
        self.staging.seal(dir, name)?;
        Ok(true)
    }
}
