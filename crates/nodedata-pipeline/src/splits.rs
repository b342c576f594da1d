use std::{borrow::Cow, collections::BTreeMap};

use nodedata_core::{
    EpisodeInfo, Error, ErrorKind, Result, RowDeal, RowKey, SourcePlan, StreamKind, patterns::fits, split_of,
};
use nodedata_normalize::EpisodeSpec;
use serde::{Deserialize, Serialize};

use crate::SplitKey;

/// How episodes are dealt to splits. Adding data never moves an episode: where it goes depends on itself alone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SplitPlan {
    /// By the hash of a key.
    Hash {
        /// Name and fraction of each split, in the order given; the fractions add up to 1.
        #[serde(with = "nodedata_core::exact")]
        fractions: Vec<(String, f64)>,
        /// What is hashed. Episodes that share it, such as near-twins of one scene, share their split.
        key: SplitKey,
    },
    /// By lists of episode keys, which may be patterns; the first list that fits decides.
    Lists(Vec<(String, Vec<String>)>),
    /// As the source says.
    Source,
    /// As the source says where every episode has a split; otherwise all are in `train`.
    #[default]
    SourceOrTrain,
}

/// Episodes with their splits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dealt {
    /// The splits.
    pub(crate) names: Vec<String>,
    /// Per episode, the position of its split.
    pub(crate) split_of_episode: Vec<usize>,
}

impl SplitPlan {
    /// Fractions by the hash of the episode's own key.
    pub fn fractions(fractions: Vec<(String, f64)>) -> Self {
        Self::Hash { fractions, key: SplitKey::Episode }
    }

    /// How rows that belong to no episode are dealt; `None` where whole files go to one split each.
    pub(crate) fn rows(&self) -> Option<RowDeal> {
        let Self::Hash { fractions, key } = self else { return None };
        let key = match key {
            SplitKey::Episode | SplitKey::Row => RowKey::Row,
            SplitKey::Field(name) => RowKey::Field(name.clone()),
            SplitKey::Task | SplitKey::Metadata(_) => return None,
        };
        (fractions.len() > 1).then(|| RowDeal { fractions: fractions.clone(), key })
    }

    /// Whether episodes are dealt by what a format may have to read records for; `told` is what the pipeline says of them.
    pub(crate) fn needs_facts(&self, told: &EpisodeSpec) -> bool {
        match self {
            Self::Hash { key: SplitKey::Task, .. } => !told.tells("task"),
            Self::Hash { key: SplitKey::Metadata(name), .. } => !told.tells(name),
            Self::Hash { key: SplitKey::Episode | SplitKey::Row | SplitKey::Field(_), .. }
            | Self::Lists(_)
            | Self::Source
            | Self::SourceOrTrain => false,
        }
    }

    /// The same plan for these episodes, without a choice between two.
    pub(crate) fn settled(&self, episodes: &[EpisodeInfo]) -> Self {
        let has_splits = || !episodes.is_empty() && episodes.iter().all(|it| it.split.is_some());
        match self {
            Self::SourceOrTrain if has_splits() => Self::Source,
            Self::SourceOrTrain => Self::fractions(vec![("train".to_owned(), 1.0)]),
            settled => settled.clone(),
        }
    }

    /// Deals all episodes.
    ///
    /// # Errors
    /// `Config` for an episode that lacks what decides: its key to be hashed, its place in a list, or a split of
    /// its own.
    pub(crate) fn deal(&self, source: &SourcePlan) -> Result<Dealt> {
        let episodes = &source.episodes;
        match self {
            Self::SourceOrTrain => self.settled(episodes).deal(source),
            Self::Hash { fractions, key } => {
                let names = fractions.iter().map(|(name, _)| name.clone()).collect();
                let has_samples = source.streams.iter().any(|it| it.kind == StreamKind::Samples);
                if has_samples && self.rows().is_some() {
                    // The source has dealt its rows, and says of each part where it belongs.
                    let place = |it: &EpisodeInfo| {
                        fractions.iter().position(|(name, _)| it.split.as_ref() == Some(name)).ok_or_else(
                            || {
                                lacking(
                                    it,
                                    "is not dealt by its rows",
                                    "deal files by lists, or as the source says",
                                )
                            },
                        )
                    };
                    let split_of_episode = episodes.iter().map(place).collect::<Result<_>>()?;
                    return Ok(Dealt { names, split_of_episode });
                }
                let split =
                    |it: &EpisodeInfo| Ok::<_, Error>(split_of(fractions, hashed(key, it)?.as_bytes()));
                Ok(Dealt { names, split_of_episode: episodes.iter().map(split).collect::<Result<_>>()? })
            }
            Self::Lists(lists) => {
                let names = lists.iter().map(|(name, _)| name.clone()).collect();
                let listed = |it: &EpisodeInfo| {
                    let fits_any = |keys: &[String]| keys.iter().any(|key| fits(key, &it.key));
                    lists.iter().position(|(_, keys)| fits_any(keys)).ok_or_else(|| {
                        lacking(it, "is in no list of `splits`", "add it to a list, or `*` to the last one")
                    })
                };
                Ok(Dealt { names, split_of_episode: episodes.iter().map(listed).collect::<Result<_>>()? })
            }
            Self::Source => {
                let mut positions: BTreeMap<&str, usize> = BTreeMap::new();
                let mut names: Vec<String> = Vec::new();
                let mut split_of_episode = Vec::with_capacity(episodes.len());
                for episode in episodes {
                    let split = episode.split.as_deref().ok_or_else(|| {
                        lacking(episode, "has no split in the source", "deal by fractions or lists instead")
                    })?;
                    split_of_episode.push(*positions.entry(split).or_insert_with(|| {
                        names.push(split.to_owned());
                        names.len() - 1
                    }));
                }
                Ok(Dealt { names, split_of_episode })
            }
        }
    }
}

/// What is hashed to deal an episode.
fn hashed<'a>(key: &SplitKey, episode: &'a EpisodeInfo) -> Result<Cow<'a, str>> {
    match key {
        SplitKey::Episode => Ok(Cow::Borrowed(&episode.key)),
        SplitKey::Row | SplitKey::Field(_) => Err(lacking(
            episode,
            "is dealt as a whole: its rows are not samples, which can be dealt one by one",
            "deal by another key, such as `episode`",
        )),
        SplitKey::Task => episode.task.as_deref().map(Cow::Borrowed).ok_or_else(|| {
            lacking(
                episode,
                "has no task, but `splits.key` is `task`",
                "deal by another key, such as `episode`",
            )
        }),
        SplitKey::Metadata(name) => {
            episode.metadata.get(name.as_str()).map(|it| Cow::Owned(it.to_string())).ok_or_else(|| {
                let names: Vec<String> = episode.metadata.keys().map(|it| format!("`{it}`")).collect();
                let hint = match names.as_slice() {
                    [] => {
                        "the source says nothing about it; deal by another key, such as `episode`".to_owned()
                    }
                    names => format!("its metadata are {}", names.join(", ")),
                };
                lacking(episode, &format!("has no metadata `{name}`, which `splits.key` names"), &hint)
            })
        }
    }
}

fn lacking(episode: &EpisodeInfo, what: &str, hint: &str) -> Error {
    Error::new(ErrorKind::Config, format!("episode `{}` {what}", episode.key)).with_hint(hint)
}

/// Reads `train=0.9,val=0.1`.
///
/// # Errors
/// `Config` when a part is not `name=fraction`, a name is not made of letters, digits, `-` and `_`, a name
/// comes twice, or the fractions do not add up to 1.
pub fn parse_splits(text: &str) -> Result<SplitPlan> {
    let wrong = |message: String| {
        Error::new(ErrorKind::Config, message).with_hint("write it as `--split train=0.9,val=0.1`")
    };
    let mut fractions: Vec<(String, f64)> = Vec::new();
    for part in text.split(',') {
        let Some((name, fraction)) = part.split_once('=') else {
            return Err(wrong(format!("`{part}` is not `name=fraction`")));
        };
        let name = name.trim();
        let is_plain = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(wrong(format!("`{name}` is no name for a split: letters, digits, `-` and `_` are")));
        }
        if fractions.iter().any(|(it, _)| it == name) {
            return Err(wrong(format!("split `{name}` is given twice")));
        }
        let fraction: f64 = fraction
            .trim()
            .parse()
            .ok()
            .filter(|it: &f64| *it > 0.0 && *it <= 1.0)
            .ok_or_else(|| wrong(format!("`{fraction}` is not a fraction above 0 and up to 1")))?;
        fractions.push((name.to_owned(), fraction));
    }
    let sum: f64 = fractions.iter().map(|(_, it)| it).sum();
    if (sum - 1.0).abs() > 1e-9 {
        return Err(wrong(format!("the fractions add up to {sum}, not to 1")));
    }
    Ok(SplitPlan::fractions(fractions))
}

#[cfg(test)]
mod tests {
    use nodedata_core::{StreamId, StreamSchema};

    use super::*;

    fn source_of(episodes: &[EpisodeInfo]) -> SourcePlan {
        SourcePlan { episodes: episodes.to_vec(), ..SourcePlan::default() }
    }

    fn episodes(n: usize) -> Vec<EpisodeInfo> {
        let episode = |it: usize| EpisodeInfo {
            key: format!("run-{it}.mcap"),
            metadata: [("scene".into(), format!("kitchen {}", it % 40).into())].into(),
            ..EpisodeInfo::default()
        };
        (0..n).map(episode).collect()
    }

    fn deal(plan: &SplitPlan, episodes: &[EpisodeInfo]) -> Vec<usize> {
        plan.deal(&source_of(episodes)).unwrap().split_of_episode
    }

    #[test]
    fn adding_episodes_moves_none() {
        let plan = parse_splits("train=0.8, val=0.1,test=0.1").unwrap();
        let few = deal(&plan, &episodes(100));
        let many = deal(&plan, &episodes(5000));
        assert_eq!(few, many[..100]);
        let n_val = many.iter().filter(|it| **it == 1).count();
        assert!((400..600).contains(&n_val), "{n_val} of 5000 for a tenth");
    }

    #[test]
    fn near_twins_share_their_split() {
        let fractions = vec![("train".to_owned(), 0.5), ("val".to_owned(), 0.5)];
        let plan =
            SplitPlan::Hash { fractions: fractions.clone(), key: SplitKey::Metadata("scene".to_owned()) };
        let dealt = deal(&plan, &episodes(200));
        assert!((0..160).all(|it| dealt[it] == dealt[it + 40]));
        assert!(dealt.contains(&0) && dealt.contains(&1));
        let missing = SplitPlan::Hash { fractions, key: SplitKey::Metadata("operator".to_owned()) };
        let err = missing.deal(&source_of(&episodes(1))).unwrap_err();
        assert_eq!(
            err.to_string(),
            "episode `run-0.mcap` has no metadata `operator`, which `splits.key` names"
        );
        assert_eq!(err.hint(), Some("its metadata are `scene`"));
    }

    #[test]
    fn lists_and_the_source_say_where_episodes_go() {
        let list =
            |name: &str, keys: &[&str]| (name.to_owned(), keys.iter().map(|it| (*it).to_owned()).collect());
        let plan =
            SplitPlan::Lists(vec![list("val", &["run-1.mcap", "run-*3.mcap"]), list("train", &["run-*"])]);
        assert_eq!(deal(&plan, &episodes(15)), [1, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1]);
        let short = SplitPlan::Lists(vec![list("val", &["run-1.mcap"])]);
        let err = short.deal(&source_of(&episodes(2))).unwrap_err();
        assert_eq!(err.to_string(), "episode `run-0.mcap` is in no list of `splits`");
        let mut placed = episodes(3);
        for (episode, split) in placed.iter_mut().zip(["train", "test", "train"]) {
            episode.split = Some(split.to_owned());
        }
        for plan in [SplitPlan::Source, SplitPlan::SourceOrTrain] {
            let dealt = plan.deal(&source_of(&placed)).unwrap();
            assert_eq!(
                (dealt.names, dealt.split_of_episode),
                (vec!["train".to_owned(), "test".to_owned()], vec![0, 1, 0])
            );
            assert_eq!(plan.settled(&placed), SplitPlan::Source);
        }
        assert!(SplitPlan::Source.deal(&source_of(&episodes(3))).is_err());
        assert_eq!(deal(&SplitPlan::SourceOrTrain, &episodes(3)), [0, 0, 0]);
    }

    #[test]
    fn samples_are_dealt_row_by_row_and_episodes_never() {
        let halves = parse_splits("train=0.5,val=0.5").unwrap();
        assert_eq!(halves.rows().map(|it| it.key), Some(RowKey::Row));
        assert_eq!(parse_splits("train=1").unwrap().rows(), None);
        let mut parts = episodes(2);
        (parts[0].split, parts[1].split) = (Some("val".to_owned()), Some("train".to_owned()));
        let samples = StreamSchema {
            id: StreamId(0),
            name: nodedata_core::STEPS.into(),
            kind: StreamKind::Samples,
            features: Vec::new(),
            metadata: BTreeMap::new(),
        };
        let source = SourcePlan { streams: vec![samples], ..source_of(&parts) };
        assert_eq!(halves.deal(&source).unwrap().split_of_episode, [1, 0]);
        let SplitPlan::Hash { fractions, .. } = halves else { panic!() };
        let by_row = SplitPlan::Hash { fractions, key: SplitKey::Row };
        let err = by_row.deal(&source_of(&parts)).unwrap_err();
        assert!(err.to_string().contains("its rows are not samples"), "{err}");
    }

    #[test]
    fn records_are_read_for_a_task_or_metadata_alone() {
        let by = |key| SplitPlan::Hash { fractions: vec![("train".to_owned(), 1.0)], key };
        let none = EpisodeSpec::default();
        let scene = by(SplitKey::Metadata("scene".to_owned()));
        assert!(by(SplitKey::Task).needs_facts(&none) && scene.needs_facts(&none));
        let by_path = nodedata_normalize::PathMetadata {
            pattern: "(?<scene>.)".to_owned(),
            types: BTreeMap::new(),
            missing: nodedata_normalize::Missing::Error,
        };
        let metadata = vec![nodedata_normalize::MetadataFrom::Path(by_path)];
        let told = EpisodeSpec { metadata, ..EpisodeSpec::default() };
        assert!(by(SplitKey::Task).needs_facts(&told) && !scene.needs_facts(&told));
        for plan in [by(SplitKey::Episode), by(SplitKey::Row), SplitPlan::Source, SplitPlan::SourceOrTrain] {
            assert!(!plan.needs_facts(&none), "{plan:?}");
        }
    }

    #[test]
    fn wrong_splits_are_refused_with_a_reason() {
        for (text, reason) in [
            ("train", "not `name=fraction`"),
            ("train=0.5,val=0.4", "add up to"),
            ("a/b=1", "no name"),
            ("a=0.5,a=0.5", "twice"),
            ("a=x", "not a fraction"),
        ] {
            let err = parse_splits(text).unwrap_err();
            assert!(err.to_string().contains(reason), "{text}: {err}");
            assert_eq!(err.kind(), ErrorKind::Config);
        }
    }
}
