use nodedata_core::{EpisodeInfo, Error, ErrorKind, Result};

/// How episodes are dealt to splits: by the hash of their key, so that adding data never moves one; or as the
/// source itself deals them.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitPlan {
    /// Name and fraction of each split, in the order given; the fractions add up to 1.
    pub fractions: Vec<(String, f64)>,
    /// Whether splits of the source's own go before the fractions. Default: yes.
    pub prefer_own: bool,
}

impl Default for SplitPlan {
    fn default() -> Self {
        Self { fractions: vec![("train".to_owned(), 1.0)], prefer_own: true }
    }
}

impl SplitPlan {
    /// Names, in order.
    pub fn names(&self, episodes: &[EpisodeInfo]) -> Vec<String> {
        match self.own_names(episodes) {
            Some(own) => own.into_iter().map(str::to_owned).collect(),
            None => self.fractions.iter().map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Position of each episode's split.
    pub fn deal(&self, episodes: &[EpisodeInfo]) -> Vec<usize> {
        let Some(own) = self.own_names(episodes) else {
            return episodes.iter().map(|it| self.split_of(&it.key)).collect();
        };
        let position = |name: Option<&str>| own.iter().position(|it| Some(*it) == name);
        episodes.iter().map(|it| position(it.split.as_deref()).unwrap_or(0)).collect()
    }

    /// The splits of the source's own, in the order of their first episodes, where every episode has one.
    fn own_names<'a>(&self, episodes: &'a [EpisodeInfo]) -> Option<Vec<&'a str>> {
        let mut names = Vec::new();
        for episode in episodes {
            let name = episode.split.as_deref().filter(|_| self.prefer_own)?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        (!names.is_empty()).then_some(names)
    }

    fn split_of(&self, key: &str) -> usize {
        let hash = blake3::hash(key.as_bytes());
        let first: [u8; 8] = hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes");
        // 53 bits: what a float holds exactly, so that every machine draws the same line.
        let point = (u64::from_be_bytes(first) >> 11) as f64 / (1u64 << 53) as f64;
        let mut end = 0.0;
        for (idx, (_, fraction)) in self.fractions.iter().enumerate() {
            end += fraction;
            if point < end {
                return idx;
            }
        }
        self.fractions.len() - 1
    }
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
    Ok(SplitPlan { fractions, prefer_own: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episodes(n: usize) -> Vec<EpisodeInfo> {
        (0..n).map(|it| EpisodeInfo { key: format!("run-{it}.mcap"), ..EpisodeInfo::default() }).collect()
    }

    #[test]
    fn adding_episodes_moves_none() {
        let plan = parse_splits("train=0.8, val=0.1,test=0.1").unwrap();
        let few = plan.deal(&episodes(100));
        let many = plan.deal(&episodes(5000));
        assert_eq!(few, many[..100]);
        let n_val = many.iter().filter(|it| **it == 1).count();
        assert!((400..600).contains(&n_val), "{n_val} of 5000 for a tenth");
    }

    #[test]
    fn the_source_s_own_splits_are_kept_unless_others_are_asked_for() {
        let mut all = episodes(3);
        for (episode, split) in all.iter_mut().zip(["train", "val", "train"]) {
            episode.split = Some(split.to_owned());
        }
        let plan = SplitPlan::default();
        assert_eq!(
            (plan.names(&all), plan.deal(&all)),
            (vec!["train".to_owned(), "val".to_owned()], vec![0, 1, 0])
        );
        let asked = parse_splits("all=1").unwrap();
        assert_eq!((asked.names(&all), asked.deal(&all)), (vec!["all".to_owned()], vec![0, 0, 0]));
        all[1].split = None;
        assert_eq!(plan.names(&all), ["train"]);
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
