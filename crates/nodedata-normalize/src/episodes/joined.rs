use std::collections::BTreeMap;

use nodedata_core::{
    EpisodeInfo, EpisodeStream, Partition, ReadOptions, Result, Source, SourcePlan, StreamKind,
    placed::Mistake,
};
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::{names::partitions_of, patterns::regex_mistake};
use crate::Unfit;

/// Which recordings of a log are one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Join {
    /// Those whose keys have the same text in the group `recording` of this regular expression, which fits whole keys.
    Pattern(String),
    /// Those of which each starts at most so many nanoseconds behind the end of the one before it, or before that end.
    Gap(i64),
}

const RECORDING: &str = "recording";
const EXAMPLE: &str = r"write `(?<recording>.+)_\d+\.mcap`";

impl Join {
    /// What is said wrongly whatever the source is.
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let Self::Pattern(pattern) = self else { return Vec::new() };
        let refused = |(message, hint)| vec![Mistake::new("episodes.join.pattern", message).with_hint(hint)];
        compile(pattern).map_or_else(refused, |_| Vec::new())
    }
}

/// The pattern, for whole keys.
fn compile(pattern: &str) -> Result<Regex, (String, String)> {
    let told = |err| (regex_mistake(pattern, &err), EXAMPLE.to_owned());
    let alone = Regex::new(pattern).map_err(told)?;
    if alone.capture_names().flatten().ne([RECORDING]) || alone.captures_len() != 2 {
        let message = format!("`{pattern}` has not the one group `{RECORDING}`");
        return Err((message, format!("{EXAMPLE}; `(?:…)` is a group that nothing asks for")));
    }
    Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(told)
}

/// A log some of whose recordings are one: an episode that goes on from file to file, in order of time.
struct JoinedSource {
    inner: Box<dyn Source>,
    plan: SourcePlan,
    /// By partition, that of the source.
    order: Vec<usize>,
}

/// Recordings of the source that are one.
struct Group {
    key: String,
    /// Their positions, in order.
    episodes: Vec<usize>,
}

/// Joins recordings, where `join` says so.
///
/// # Errors
/// All mistakes: a source that is no log, a pattern that fits no recording or one of them alone, recordings whose times
/// nothing tells.
pub(crate) fn joined(inner: Box<dyn Source>, join: Option<&Join>) -> Result<Box<dyn Source>, Unfit> {
    let Some(join) = join else { return Ok(inner) };
    let plan = inner.plan();
    if plan.streams.iter().any(|it| it.kind != StreamKind::Messages) {
        let mistake =
            Mistake::new("episodes.join", "the source is no log, and says itself what its episodes are");
        return Err(Unfit::Mistakes(vec![mistake.with_hint("remove it")]));
    }
    let partitions = partitions_of(plan);
    let times: Vec<Option<(i64, i64)>> = partitions.iter().map(|it| times_of(plan, it)).collect();
    let mut groups = match join {
        Join::Pattern(pattern) => by_pattern(pattern, &plan.episodes),
        Join::Gap(gap_ns) => by_time(*gap_ns, plan, &times),
    }
    .map_err(|it| Unfit::Mistakes(vec![it]))?;
    for group in &mut groups {
        // By time where all tell it, otherwise by name, numbers as such.
        if group.episodes.iter().all(|it| times[*it].is_some()) {
            group.episodes.sort_by_key(|it| times[*it]);
        } else {
            group.episodes.sort_by_key(|it| natural(&plan.episodes[*it].key));
        }
    }
    let in_order = groups.iter().flat_map(|it| &it.episodes);
    let order: Vec<usize> = in_order.flat_map(|it| partitions[*it].iter().copied()).collect();
    let plan = joined_plan(plan, &groups, &order);
    Ok(Box::new(JoinedSource { inner, plan, order }))
}

/// From when to when a recording was made, as its metadata says.
fn times_of(plan: &SourcePlan, partitions: &[usize]) -> Option<(i64, i64)> {
    let all: Option<Vec<(i64, i64)>> = partitions.iter().map(|it| plan.partitions[*it].times).collect();
    all?.into_iter().reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
}

fn by_pattern(pattern: &str, episodes: &[EpisodeInfo]) -> Result<Vec<Group>, Mistake> {
    let at = "episodes.join.pattern";
    let regex = compile(pattern).map_err(|(message, hint)| Mistake::new(at, message).with_hint(hint))?;
    let mut groups: Vec<Group> = Vec::new();
    let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
    for (idx, episode) in episodes.iter().enumerate() {
        let name = regex.captures(&episode.key).and_then(|it| Some(it.name(RECORDING)?.as_str().to_owned()));
        let name = name.filter(|it| !it.is_empty());
        let Some(name) = name else {
            groups.push(Group { key: episode.key.clone(), episodes: vec![idx] });
            continue;
        };
        match by_name.get(&name).and_then(|it| groups.get_mut(*it)) {
            Some(group) => group.episodes.push(idx),
            None => {
                by_name.insert(name.clone(), groups.len());
                groups.push(Group { key: name, episodes: vec![idx] });
            }
        }
    }
    if by_name.is_empty()
        && let Some(first) = episodes.first()
    {
        let message = format!("`{pattern}` fits no recording, such as `{}`", first.key);
        return Err(Mistake::new(at, message).with_hint("it has to fit the whole key of a file"));
    }
    Ok(groups)
}

fn by_time(gap_ns: i64, plan: &SourcePlan, times: &[Option<(i64, i64)>]) -> Result<Vec<Group>, Mistake> {
    let at = "episodes.join.gap_ms";
    let mut known = Vec::new();
    for (idx, time) in times.iter().enumerate() {
        let key = &plan.episodes[idx].key;
        // A recording without a record is no part of another.
        match time {
            Some((first, last)) => known.push((*first, *last, idx)),
            None if plan.partitions.iter().all(|it| it.episode != idx) => {}
            None => {
                let message = format!("nothing tells when `{key}` was recorded without reading it");
                return Err(Mistake::new(at, message).with_hint("join by `pattern` instead"));
            }
        }
    }
    known.sort_unstable();
    let mut chains: Vec<(i64, Group)> = Vec::new();
    for (first, last, idx) in known {
        let goes_on = |end: i64| end.saturating_sub(gap_ns) <= first && first <= end.saturating_add(gap_ns);
        let fitting: Vec<usize> = (0..chains.len()).filter(|it| goes_on(chains[*it].0)).collect();
        let key = &plan.episodes[idx].key;
        match fitting.as_slice() {
            [] => chains.push((last, Group { key: key.clone(), episodes: vec![idx] })),
            [chain] => {
                let chain = &mut chains[*chain];
                chain.0 = chain.0.max(last);
                chain.1.episodes.push(idx);
            }
            [one, other, ..] => {
                let (one, other) = (&chains[*one].1.key, &chains[*other].1.key);
                let message = format!("`{key}` goes on where `{one}` ends, and where `{other}` does");
                let hint = "give a smaller gap, or join by `pattern` instead";
                return Err(Mistake::new(at, message).with_hint(hint));
            }
        }
    }
    let mut groups: Vec<Group> = chains.into_iter().map(|it| it.1).collect();
    let alone = (0..times.len()).filter(|it| times[*it].is_none());
    groups.extend(alone.map(|it| Group { key: plan.episodes[it].key.clone(), episodes: vec![it] }));
    groups.sort_by_key(|it| it.episodes.iter().min().copied());
    Ok(groups)
}

/// A name as text and numbers in turn, so that part 10 comes behind part 9.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = vec![(String::new(), 0u64)];
    let mut in_number = false;
    for letter in name.chars() {
        match letter.to_digit(10) {
            Some(digit) => {
                if let Some(last) = parts.last_mut() {
                    last.1 = last.1.saturating_mul(10).saturating_add(u64::from(digit));
                }
            }
            None if in_number => parts.push((letter.to_string(), 0)),
            None => {
                if let Some(last) = parts.last_mut() {
                    last.0.push(letter);
                }
            }
        }
        in_number = letter.is_ascii_digit();
    }
    parts
}

fn joined_plan(plan: &SourcePlan, groups: &[Group], order: &[usize]) -> SourcePlan {
    let mut numbers = vec![0; plan.episodes.len()];
    for (number, group) in groups.iter().enumerate() {
        group.episodes.iter().for_each(|it| numbers[*it] = number);
    }
    let partition = |idx: &usize| {
        let it = &plan.partitions[*idx];
        Partition { episode: numbers[it.episode], ..it.clone() }
    };
    let mut joined = plan.clone();
    joined.partitions = order.iter().map(partition).collect();
    joined.episodes = groups.iter().map(|it| info(it, &plan.episodes)).collect();
    joined.attachments.iter_mut().for_each(|it| it.episode = numbers[it.episode]);
    joined
}

/// What is known of a joined recording: of each thing what the first file says that says it.
fn info(group: &Group, episodes: &[EpisodeInfo]) -> EpisodeInfo {
    let mut all = group.episodes.iter().map(|it| &episodes[*it]);
    let mut info = all.next().cloned().unwrap_or_default();
    for other in all {
        info.task = info.task.or_else(|| other.task.clone());
        info.split = info.split.or_else(|| other.split.clone());
        for (name, fact) in &other.metadata {
            info.metadata.entry(name.clone()).or_insert_with(|| fact.clone());
        }
    }
    EpisodeInfo { key: group.key.clone(), ..info }
}

impl Source for JoinedSource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        // One that is not there the source tells itself.
        self.inner.read(self.order.get(partition).copied().unwrap_or(usize::MAX), options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_in_the_order_of_their_numbers() {
        let mut names = ["run_10.mcap", "run_9.mcap", "run.mcap", "run_1.mcap"];
        names.sort_by_key(|it| natural(it));
        assert_eq!(names, ["run.mcap", "run_1.mcap", "run_9.mcap", "run_10.mcap"]);
    }

    #[test]
    fn patterns_name_the_recording_alone() {
        assert!(Join::Pattern(r"(?<recording>.+)_\d+\.mcap".to_owned()).mistakes().is_empty());
        for wrong in [r"(.+)_\d+", r"(?<recording>.+)_(\d+)", r"(?<run>.+)_\d+", "(?<recording>"] {
            assert_eq!(Join::Pattern(wrong.to_owned()).mistakes().len(), 1, "{wrong}");
        }
    }
}
