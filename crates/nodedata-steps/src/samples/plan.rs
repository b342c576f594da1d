use std::{ops::Range, path::Path};

use nodedata_core::{
    EpisodeInfo, Error, ErrorKind, Files, InputFile, InputRange, Locus, Partition, Result, RowDeal,
    SourcePlan,
};
use serde::{Deserialize, Serialize};

/// The records of a stretch that are dealt to one split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// How many.
    pub n_records: u64,
    /// Their bytes.
    pub n_bytes: u64,
}

/// Consecutive records of a file: what a partition reads.
pub trait DealtStretch: Clone {
    /// The bytes of the file that they are made of.
    fn byte_range(&self) -> Range<u64>;
    /// By split.
    fn shares(&self) -> &[Share];
    /// Where its records lie in the file, unpacked where it is packed.
    fn records(&self) -> Range<u64> {
        self.byte_range()
    }
    /// What tells it from others that are made of the same bytes of the file; `None` where no others are.
    fn own_range(&self) -> Option<Range<u64>> {
        (self.records() != self.byte_range()).then(|| self.records())
    }
    /// Other inputs of which, as a whole, the rows of a split are made as well, by position.
    fn others(&self, split: usize) -> &[usize] {
        let _all_in_one_file = split;
        &[]
    }
    /// Files that the rows of a split name and that are not there: once they are, the rows are others.
    fn lacks(&self, split: usize) -> &[String] {
        let _nothing_is_named = split;
        &[]
    }
}

/// Consecutive records of a file that may be packed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StretchText", into = "StretchText")]
pub struct PackedStretch {
    /// In the file, unpacked where it is packed.
    pub records: Range<u64>,
    /// The bytes of the file that these are made of.
    pub byte_range: Range<u64>,
    /// How many records.
    pub n_records: u64,
    /// By split.
    pub shares: Vec<Share>,
}

/// Start and end of the records, of the bytes that these are made of, records, and per split records and their bytes.
#[derive(Serialize, Deserialize)]
struct StretchText((u64, u64), (u64, u64), u64, Vec<(u64, u64)>);

/// What a partition is to its reader.
#[derive(Debug, Clone)]
pub struct SamplePart<S> {
    /// Position of its file among the inputs.
    pub input: usize,
    /// What it reads.
    pub stretch: S,
    /// Which records are its own; `None` for all.
    pub split: Option<usize>,
    /// Records of its episode before it.
    pub first_row: u64,
}

/// What decides the rows of a partition besides its bytes: types, which all of the input decides, and whose rows it takes.
#[derive(Serialize)]
struct PartRecipe<'a> {
    types: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deal: Option<&'a RowDeal>,
    /// Which records these are, where others are made of the same bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Range<u64>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    lacks: &'a [String],
}

impl From<StretchText> for PackedStretch {
    fn from(StretchText(records, bytes, n_records, shares): StretchText) -> Self {
        let share = |(n_records, n_bytes)| Share { n_records, n_bytes };
        Self {
            records: records.0..records.1,
            byte_range: bytes.0..bytes.1,
            n_records,
            shares: shares.into_iter().map(share).collect(),
        }
    }
}

impl From<PackedStretch> for StretchText {
    fn from(it: PackedStretch) -> Self {
        let shares = it.shares.iter().map(|it| (it.n_records, it.n_bytes)).collect();
        Self(
            (it.records.start, it.records.end),
            (it.byte_range.start, it.byte_range.end),
            it.n_records,
            shares,
        )
    }
}

impl DealtStretch for PackedStretch {
    fn byte_range(&self) -> Range<u64> {
        self.byte_range.clone()
    }

    fn shares(&self) -> &[Share] {
        &self.shares
    }

    fn records(&self) -> Range<u64> {
        self.records.clone()
    }
}

impl PackedStretch {
    /// Whether stretches that were learned lie in a file one after the other, and their numbers are possible.
    pub fn are_sound(stretches: &[Self], n_bytes: u64, n_splits: usize) -> bool {
        let mut at = 0;
        stretches.iter().all(|it| {
            let is_next = at <= it.records.start && it.records.start < it.records.end;
            at = it.records.end;
            let n_dealt = it.shares.iter().try_fold(0u64, |sum, it| sum.checked_add(it.n_records));
            is_next
                && it.byte_range.start <= it.byte_range.end
                && it.byte_range.end <= n_bytes
                && it.shares.len() == n_splits
                && it.n_records <= it.records.end - it.records.start
                && n_dealt == Some(it.n_records)
        })
    }
}

/// The files of an input, in the order of paths. `what` names one of them.
///
/// # Errors
/// `Io`; `Config` when there is none.
pub fn sample_inputs(files: &dyn Files, what: &str) -> Result<Vec<InputFile>> {
    let mut paths = files.list()?;
    paths.sort_unstable();
    if paths.is_empty() {
        let message = "the input has no files";
        return Err(Error::new(ErrorKind::Config, message).with_hint(format!("name {what}")));
    }
    let input = |path: std::path::PathBuf| {
        let n_bytes = files.open(&path).map_err(|err| err.at(Locus::path(&path)))?.n_bytes();
        Ok(InputFile { path, n_bytes })
    };
    paths.into_iter().map(input).collect()
}

/// Adds to a plan an episode per file, or per file and split, and a partition for each of its stretches that has rows of it.
/// `stretches` and `own_splits`, the splits that files are in where no rows are dealt, are by input; `types` is what decides
/// rows beside their bytes.
pub fn plan_samples<S: DealtStretch>(
    plan: &mut SourcePlan,
    stretches: Vec<Vec<S>>,
    own_splits: &[Option<String>],
    deal: Option<&RowDeal>,
    types: &str,
) -> Vec<SamplePart<S>> {
    let mut parts = Vec::new();
    for (input, stretches) in stretches.into_iter().enumerate() {
        let key = key_of(&plan.inputs[input].path);
        let n_splits = deal.map_or(1, |it| it.fractions.len());
        for split in 0..n_splits {
            let name = deal.map(|it| it.fractions[split].0.as_str());
            let episode = plan.episodes.len();
            plan.episodes.push(EpisodeInfo {
                key: name.map_or_else(|| key.clone(), |it| format!("{key}@{it}")),
                input,
                split: name.map(str::to_owned).or_else(|| own_splits.get(input).cloned().flatten()),
                ..EpisodeInfo::default()
            });
            let recipe = |stretch: &S| {
                let (records, lacks) = (stretch.own_range(), stretch.lacks(split));
                let recipe = PartRecipe { types, split: name, deal, records, lacks };
                serde_json::to_string(&recipe).expect("text and numbers are JSON")
            };
            let mut first_row = 0;
            for stretch in &stretches {
                let share = stretch.shares()[split];
                if share.n_records != 0 {
                    let own = InputRange { input, byte_range: stretch.byte_range() };
                    let others = stretch.others(split).iter().map(|it| InputRange::whole(*it));
                    plan.partitions.push(Partition {
                        episode,
                        reads: [own].into_iter().chain(others).collect(),
                        decoded_bytes: share.n_bytes,
                        recipe: recipe(stretch),
                        ..Partition::default()
                    });
                    let split = deal.map(|_| split);
                    parts.push(SamplePart { input, stretch: stretch.clone(), split, first_row });
                }
                first_row += share.n_records;
            }
        }
    }
    parts
}

/// A path as a key that is the same on every machine: `/` whatever this one uses.
pub fn key_of(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|it| it.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipes(byte_ranges: [Range<u64>; 2]) -> Vec<String> {
        let inputs = vec![InputFile { path: "a".into(), n_bytes: 20 }];
        let mut plan = SourcePlan { inputs, ..SourcePlan::default() };
        let shares = vec![Share { n_records: 1, n_bytes: 10 }];
        let stretch = |(records, byte_range): (Range<u64>, Range<u64>)| PackedStretch {
            records,
            byte_range,
            n_records: 1,
            shares: shares.clone(),
        };
        let stretches: Vec<PackedStretch> =
            [0..10, 10..20].into_iter().zip(byte_ranges).map(stretch).collect();
        plan_samples(&mut plan, vec![stretches], &[], None, "t");
        plan.partitions.into_iter().map(|it| it.recipe).collect()
    }

    /// Units are found again by what their partitions read and their recipes.
    #[test]
    fn stretches_of_the_same_bytes_have_recipes_of_their_own() {
        assert_eq!(recipes([0..10, 10..20]), [r#"{"types":"t"}"#; 2]);
        let packed = recipes([0..7, 0..7]);
        assert_ne!(packed[0], packed[1]);
    }
}
