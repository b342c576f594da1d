use std::collections::BTreeMap;

use nodedata_core::patterns::fits;
use serde::Serialize;

/// One thing that quality rules look for. Codes never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Rows come slower or faster than declared.
    Rate,
    /// A long silence between neighbouring rows.
    Gap,
    /// The distance between a message's own stamp and its log time changes suddenly: a clock was set.
    ClockJump,
    /// A row is earlier than its predecessor.
    BackwardTime,
    /// A signal that moves all the time stops moving.
    Frozen,
    /// The same frame again and again.
    DuplicateFrames,
    /// NaN or infinite numbers.
    NonFinite,
    /// Numbers outside of what is declared.
    Range,
    /// One element of a vector never moves while others do.
    DeadJoint,
    /// Not as many frames as rows.
    RowCount,
    /// Two episodes with the same content.
    DuplicateEpisode,
    /// Rows without a value.
    Nulls,
}

impl Rule {
    /// Every rule, in the order of the codes.
    pub const ALL: [Self; 12] = [
        Self::Rate,
        Self::Gap,
        Self::ClockJump,
        Self::BackwardTime,
        Self::Frozen,
        Self::DuplicateFrames,
        Self::NonFinite,
        Self::Range,
        Self::DeadJoint,
        Self::RowCount,
        Self::DuplicateEpisode,
        Self::Nulls,
    ];

    /// `ND-Q001` …
    pub fn code(self) -> &'static str {
        match self {
            Self::Rate => "ND-Q001",
            Self::Gap => "ND-Q002",
            Self::ClockJump => "ND-Q003",
            Self::BackwardTime => "ND-Q004",
            Self::Frozen => "ND-Q005",
            Self::DuplicateFrames => "ND-Q006",
            Self::NonFinite => "ND-Q007",
            Self::Range => "ND-Q008",
            Self::DeadJoint => "ND-Q009",
            Self::RowCount => "ND-Q010",
            Self::DuplicateEpisode => "ND-Q011",
            Self::Nulls => "ND-Q012",
        }
    }

    /// As pipelines spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Gap => "gap",
            Self::ClockJump => "clock_jump",
            Self::BackwardTime => "backward_time",
            Self::Frozen => "frozen",
            Self::DuplicateFrames => "duplicate_frames",
            Self::NonFinite => "non_finite",
            Self::Range => "range",
            Self::DeadJoint => "dead_joint",
            Self::RowCount => "row_count",
            Self::DuplicateEpisode => "duplicate_episode",
            Self::Nulls => "nulls",
        }
    }

    /// What it looks for, in a sentence without a full stop.
    pub fn about(self) -> &'static str {
        match self {
            Self::Rate => "rows per second outside of the bounds declared",
            Self::Gap => "a silence longer than allowed between neighbouring rows",
            Self::ClockJump => "a sudden change between a message's own stamp and its log time",
            Self::BackwardTime => "a row that is earlier than its predecessor",
            Self::Frozen => "a signal that moves all the time and then stands still",
            Self::DuplicateFrames => "the same frame several times in a row",
            Self::NonFinite => "NaN or infinite numbers",
            Self::Range => "numbers outside of the range declared",
            Self::DeadJoint => "an element of a vector that never moves while others do",
            Self::RowCount => "fewer frames or rows than there should be",
            Self::DuplicateEpisode => "an episode with the content of another one",
            Self::Nulls => "rows without a value",
        }
    }

    /// The rule called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// What a finding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The rule is not looked at.
    #[default]
    Off,
    /// The report says so.
    Warn,
    /// The episode is kept out of the splits.
    Quarantine,
    /// The run fails.
    Fail,
}

impl Level {
    /// Every level, mildest first.
    pub const ALL: [Self; 4] = [Self::Off, Self::Warn, Self::Quarantine, Self::Fail];

    /// As pipelines spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Quarantine => "quarantine",
            Self::Fail => "fail",
        }
    }
}

/// Which rules hold, how strict, and what happens on a finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    levels: BTreeMap<Rule, Level>,
    /// Bounds of [`Rule::Rate`]; streams without bounds are not looked at.
    pub rates: Vec<RateBounds>,
    /// Longest silence of [`Rule::Gap`] in nanoseconds; `None` for the larger of a second and ten times the
    /// median interval.
    pub gap_ns: Option<i64>,
    /// Largest change of [`Rule::ClockJump`], in nanoseconds. Default: half a second.
    pub clock_jump_ns: i64,
    /// How long [`Rule::Frozen`] lets a signal stand still, in nanoseconds. Default: five seconds.
    pub frozen_ns: i64,
    /// Equal frames in a row that [`Rule::DuplicateFrames`] allows. Default: 5.
    pub equal_frames: u64,
    /// Rows that [`Rule::DeadJoint`] needs before it judges. Default: 100.
    pub dead_rows: u64,
    /// Bounds of [`Rule::Range`].
    pub ranges: Vec<RangeBounds>,
    /// Share of an episode's rows that [`Rule::Nulls`] lets be without a value. Default: none.
    pub null_share: f64,
    /// Features that [`Rule::Nulls`] looks at; all of step tables when empty. What a source of messages or samples
    /// may leave out, its own schema says.
    pub null_fields: Vec<FeatureName>,
}

/// A feature as rules name it, or several by a pattern: `state`, `/joint_states.effort`, `camera_*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureName {
    /// The stream; `None` for every stream that has the feature.
    pub stream: Option<String>,
    /// The feature.
    pub feature: String,
}

impl FeatureName {
    /// Reads a name. A topic starts with a slash and holds no dot before its field.
    pub fn parse(text: &str) -> Self {
        match text.split_once('.').filter(|(it, _)| it.starts_with('/')) {
            Some((stream, feature)) => Self { stream: Some(stream.to_owned()), feature: feature.to_owned() },
            None => Self { stream: None, feature: text.to_owned() },
        }
    }

    /// Whether a feature of a stream is meant.
    pub fn fits(&self, stream: &str, feature: &str) -> bool {
        self.stream.as_deref().is_none_or(|it| fits(it, stream)) && fits(&self.feature, feature)
    }
}

/// How fast the rows of a stream must come.
#[derive(Debug, Clone, PartialEq)]
pub struct RateBounds {
    /// The stream.
    pub stream: String,
    /// Rows per second at the least.
    pub min_hz: Option<f64>,
    /// Rows per second at the most.
    pub max_hz: Option<f64>,
}

/// What the values of a feature must be.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeBounds {
    /// The stream; `None` for every stream that has the feature.
    pub stream: Option<String>,
    /// The feature.
    pub feature: String,
    /// Least value.
    pub min: Option<f64>,
    /// Greatest value.
    pub max: Option<f64>,
}

impl Rules {
    /// No rule is looked at.
    pub fn off() -> Self {
        Self {
            levels: BTreeMap::new(),
            rates: Vec::new(),
            gap_ns: None,
            clock_jump_ns: 500_000_000,
            frozen_ns: 5_000_000_000,
            equal_frames: 5,
            dead_rows: 100,
            ranges: Vec::new(),
            null_share: 0.0,
            null_fields: Vec::new(),
        }
    }

    /// Every rule warns. Nobody said which rows need a value, so only a feature that hardly has one is told.
    pub fn warn() -> Self {
        let levels = Rule::ALL.into_iter().map(|it| (it, Level::Warn)).collect();
        Self { levels, null_share: 0.99, ..Self::off() }
    }

    /// The level of a rule.
    pub fn level(&self, rule: Rule) -> Level {
        self.levels.get(&rule).copied().unwrap_or_default()
    }

    /// Whether a rule is looked at.
    pub fn is_on(&self, rule: Rule) -> bool {
        self.level(rule) != Level::Off
    }

    /// Sets the level of a rule.
    pub fn set(&mut self, rule: Rule, level: Level) {
        self.levels.insert(rule, level);
    }
}
