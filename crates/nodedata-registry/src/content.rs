use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use serde::Serialize;
use serde_json::json;

use crate::{
    digest::B3,
    record::{Bump, BumpProof},
};

/// Names an episode's rows in one stream of one split.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct EpisodeId {
    /// Split.
    pub split: String,
    /// `steps`, or the topic.
    pub stream: String,
    /// Stable key of the episode.
    pub key: String,
}

impl EpisodeId {
    fn episode(&self) -> (&str, &str) {
        (&self.split, &self.key)
    }
}

/// What an episode's rows in one stream hold, however they are encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpisodeContent {
    /// Hash over all features.
    pub hash: B3,
    /// Hash of each feature; empty where only the whole is known.
    pub features: BTreeMap<String, B3>,
    /// Rows.
    pub rows: u64,
}

/// The logical content of a revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents(pub BTreeMap<EpisodeId, EpisodeContent>);

/// Two contents, compared by hash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Counts.
    pub proof: BumpProof,
    /// New episodes.
    pub added: Vec<EpisodeId>,
    /// Episodes that are gone.
    pub removed: Vec<EpisodeId>,
    /// Episodes with a feature that changed or is gone.
    pub changed: Vec<ChangedEpisode>,
    /// Episodes that are the same, but have more features.
    pub extended: Vec<ChangedEpisode>,
}

/// An episode that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedEpisode {
    /// Which.
    pub episode: EpisodeId,
    /// Features concerned; empty where only the whole is known.
    pub features: Vec<String>,
}

/// How much a revision changes, in the terms of Croissant 1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BumpKind {
    /// The same content.
    Patch,
    /// Everything that was there is there, and more.
    Minor,
    /// Something that was there is not, or is another.
    Major,
}

impl BumpKind {
    /// As records spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }

    /// The number after `parent`. After the last that 64 bits hold there is none: it is the same again, which nobody may
    /// publish.
    pub fn next(self, parent: &Version) -> Version {
        match self {
            Self::Patch => Version::new(parent.major, parent.minor, parent.patch.saturating_add(1)),
            Self::Minor => Version::new(parent.major, parent.minor.saturating_add(1), 0),
            Self::Major => Version::new(parent.major.saturating_add(1), 0, 0),
        }
    }

    /// How much `next` claims to change what `parent` is.
    pub fn claimed(parent: &Version, next: &Version) -> Self {
        if next.major != parent.major {
            Self::Major
        } else if next.minor != parent.minor {
            Self::Minor
        } else {
            Self::Patch
        }
    }
}

impl Contents {
    /// Hash over everything: the same whatever the order, encoding and sharding.
    pub fn root(&self) -> B3 {
        let all = self.0.iter().map(|(it, content)| json!([it.split, it.stream, it.key, content.hash.hex()]));
        let text = nodedata_dataset::canonical_json(&serde_json::Value::Array(all.collect()));
        B3::of(text.as_bytes())
    }

    /// What became of this content in `new`.
    pub fn compare(&self, new: &Self) -> Comparison {
        let mut found = Comparison::default();
        for (id, old) in &self.0 {
            let Some(new) = new.0.get(id) else {
                found.removed.push(id.clone());
                continue;
            };
            if old.hash == new.hash {
                continue;
            }
            let differs = |name: &&String| old.features.get(*name) != new.features.get(*name);
            let lost: Vec<String> = old.features.keys().filter(differs).cloned().collect();
            if lost.is_empty() && !old.features.is_empty() && !new.features.is_empty() {
                let features = new.features.keys().filter(differs).cloned().collect();
                found.extended.push(ChangedEpisode { episode: id.clone(), features });
            } else {
                found.changed.push(ChangedEpisode { episode: id.clone(), features: lost });
            }
        }
        found.added.extend(new.0.keys().filter(|it| !self.0.contains_key(it)).cloned());
        found.proof = self.proof(new, &found);
        found
    }

    /// Each episode counted once, however many streams it has.
    fn proof(&self, new: &Self, found: &Comparison) -> BumpProof {
        let (old, new) = (self.episodes(), new.episodes());
        let both: BTreeSet<_> = old.intersection(&new).copied().collect();
        let differing = found.changed.iter().map(|it| &it.episode).chain(&found.removed);
        let changed: BTreeSet<_> = differing.map(EpisodeId::episode).filter(|it| both.contains(it)).collect();
        BumpProof {
            kept: (both.len() - changed.len()) as u64,
            added: (new.len() - both.len()) as u64,
            changed: changed.len() as u64,
            removed: (old.len() - both.len()) as u64,
        }
    }

    /// The episodes, as split and key.
    pub fn episodes(&self) -> BTreeSet<(&str, &str)> {
        self.0.keys().map(EpisodeId::episode).collect()
    }

    /// Episodes, as split and key, that are in both under one key although nothing of them is the same: rows of every
    /// stream are others, and so is their number, or all features where these are known one by one. Another recording
    /// under a key that is taken looks like this, and a recording that was put right does not.
    pub fn reused_keys(&self, new: &Self) -> Vec<(&str, &str)> {
        let mut looks_other: BTreeMap<(&str, &str), bool> = BTreeMap::new();
        for (id, old) in &self.0 {
            let Some(new) = new.0.get(id) else { continue };
            let same_feature = || old.features.iter().any(|(name, it)| new.features.get(name) == Some(it));
            // Of a recording that was converted only the whole is known: as many rows with other values may be a repair.
            let is_known = !old.features.is_empty() && !new.features.is_empty();
            let is_other = old.hash != new.hash && (old.rows != new.rows || (is_known && !same_feature()));
            *looks_other.entry(id.episode()).or_insert(true) &= is_other;
        }
        looks_other.into_iter().filter(|(_, is_other)| *is_other).map(|(episode, _)| episode).collect()
    }
}

impl Comparison {
    /// The least bump that tells the truth.
    pub fn kind(&self) -> BumpKind {
        if !self.removed.is_empty() || !self.changed.is_empty() {
            BumpKind::Major
        } else if !self.added.is_empty() || !self.extended.is_empty() {
            BumpKind::Minor
        } else {
            BumpKind::Patch
        }
    }

    /// As a record says it.
    pub fn bump(&self, kind: BumpKind) -> Bump {
        Bump { kind: kind.name().to_owned(), proof: self.proof }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(episodes: &[(&str, &[(&str, &str)])]) -> Contents {
        let one = |(key, features): &(&str, &[(&str, &str)])| {
            let id = EpisodeId { split: "train".into(), stream: "steps".into(), key: (*key).into() };
            let features: BTreeMap<String, B3> =
                features.iter().map(|(name, text)| ((*name).to_owned(), B3::of(text.as_bytes()))).collect();
            (id, EpisodeContent { hash: B3::of(format!("{features:?}").as_bytes()), features, rows: 1 })
        };
        Contents(episodes.iter().map(one).collect())
    }

    #[test]
    fn the_bump_follows_from_the_content() {
        let old = contents(&[("0", &[("a", "1"), ("b", "2")]), ("1", &[("a", "3"), ("b", "4")])]);
        let check = |new: &Contents, kind, (kept, added, changed, removed)| {
            let found = old.compare(new);
            assert_eq!(found.kind(), kind);
            assert_eq!(found.proof, BumpProof { kept, added, changed, removed });
        };
        check(&old, BumpKind::Patch, (2, 0, 0, 0));
        let mut more = old.clone();
        more.0.extend(contents(&[("2", &[("a", "9"), ("b", "9")])]).0);
        check(&more, BumpKind::Minor, (2, 1, 0, 0));
        let wider =
            contents(&[("0", &[("a", "1"), ("b", "2"), ("c", "5")]), ("1", &[("a", "3"), ("b", "4")])]);
        check(&wider, BumpKind::Minor, (2, 0, 0, 0));
        let edited = contents(&[("0", &[("a", "1"), ("b", "7")]), ("1", &[("a", "3"), ("b", "4")])]);
        check(&edited, BumpKind::Major, (1, 0, 1, 0));
        assert_eq!(old.compare(&edited).changed[0].features, ["b"]);
        let narrower = contents(&[("0", &[("a", "1")]), ("1", &[("a", "3"), ("b", "4")])]);
        check(&narrower, BumpKind::Major, (1, 0, 1, 0));
        check(&contents(&[("1", &[("a", "3"), ("b", "4")])]), BumpKind::Major, (1, 0, 0, 1));
        assert_ne!(old.root(), edited.root());
    }

    #[test]
    fn an_episode_of_many_streams_is_one_episode() {
        let of = |streams: &[(&str, &str, u64)]| {
            let one = |(stream, text, rows): &(&str, &str, u64)| {
                let id = EpisodeId { split: "train".into(), stream: (*stream).into(), key: "0".into() };
                let features = BTreeMap::new();
                (id, EpisodeContent { hash: B3::of(text.as_bytes()), features, rows: *rows })
            };
            Contents(streams.iter().map(one).collect())
        };
        let old = of(&[("/a", "1", 3), ("/b", "2", 3)]);
        assert_eq!(old.episodes().len(), 1);
        let proof = |new: &[(&str, &str, u64)]| old.compare(&of(new)).proof;
        let count = |kept, added, changed, removed| BumpProof { kept, added, changed, removed };
        assert_eq!(proof(&[("/a", "1", 3), ("/b", "2", 3)]), count(1, 0, 0, 0));
        assert_eq!(proof(&[("/a", "1", 3), ("/b", "2", 3), ("/c", "4", 3)]), count(1, 0, 0, 0));
        assert_eq!(proof(&[("/a", "1", 3)]), count(0, 0, 1, 0));
        assert_eq!(proof(&[("/a", "9", 3), ("/b", "9", 3)]), count(0, 0, 1, 0));
        assert_eq!(proof(&[]), count(0, 0, 0, 1));
        let reused = |new: &[(&str, &str, u64)]| old.reused_keys(&of(new)).len();
        assert_eq!(reused(&[("/a", "9", 5), ("/b", "9", 5)]), 1, "another recording");
        assert_eq!(reused(&[("/a", "9", 5), ("/b", "2", 3)]), 0, "one stream put right");
        assert_eq!(reused(&[("/a", "9", 3), ("/b", "9", 3)]), 0, "as many rows, put right");
        assert_eq!(reused(&[("/c", "9", 5)]), 0, "nothing to compare");
    }

    #[test]
    fn reuse_is_told_from_a_repair_by_features_and_rows() {
        let old = contents(&[("0", &[("a", "1"), ("b", "2")])]);
        let reused = |new: &Contents| old.reused_keys(new).len();
        assert_eq!(reused(&contents(&[("0", &[("a", "1"), ("b", "7")])])), 0);
        assert_eq!(reused(&contents(&[("0", &[("a", "8"), ("b", "7")])])), 1);
        let mut longer = contents(&[("0", &[("a", "1"), ("b", "7")])]);
        longer.0.values_mut().for_each(|it| it.rows = 9);
        assert_eq!(reused(&longer), 1);
        assert_eq!(reused(&old), 0);
    }

    #[test]
    fn numbers_follow_their_kind() {
        let parent = Version::new(1, 2, 3);
        let next: Vec<String> = [BumpKind::Patch, BumpKind::Minor, BumpKind::Major]
            .map(|it| it.next(&parent).to_string())
            .to_vec();
        assert_eq!(next, ["1.2.4", "1.3.0", "2.0.0"]);
        let last = Version::new(u64::MAX, u64::MAX, u64::MAX);
        for kind in [BumpKind::Patch, BumpKind::Minor, BumpKind::Major] {
            assert!(kind.next(&last) <= last, "{kind:?}");
        }
        assert_eq!(BumpKind::claimed(&parent, &Version::new(1, 5, 0)), BumpKind::Minor);
        assert_eq!(BumpKind::claimed(&parent, &Version::new(3, 0, 0)), BumpKind::Major);
    }
}
