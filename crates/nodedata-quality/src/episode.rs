use nodedata_core::StreamKind;

use crate::{
    Level, Pace, QualityFinding, Rule, Rules, StreamCheck, frames::Frames, nulls::NullRows, numbers::Numbers,
};

/// What one stream was like in one episode.
#[derive(Debug, Clone)]
pub(crate) struct EpisodeMeasure {
    pub(crate) n_rows: u64,
    pub(crate) pace: Pace,
    /// By position in the plan.
    pub(crate) numbers: Vec<Numbers>,
    /// By position among the media columns.
    pub(crate) frames: Vec<Frames>,
    /// By position among the columns whose nulls are counted.
    pub(crate) nulls: Vec<NullRows>,
    /// Names of the elements of each vector, where they are known.
    pub(crate) names: Vec<Vec<String>>,
}

/// A rule's gap without a limit of its own: this many medians, and not less than a second.
const GAP_MEDIANS: f64 = 10.0;
const GAP_NS_MIN: f64 = 1e9;

impl EpisodeMeasure {
    /// Nothing of `check`'s stream seen yet.
    pub(crate) fn new(check: &StreamCheck) -> Self {
        Self {
            n_rows: 0,
            pace: Pace::default(),
            numbers: vec![Numbers::default(); check.numbers.len()],
            frames: vec![Frames::default(); check.frames.len()],
            nulls: vec![NullRows::default(); check.nulls.len()],
            names: Vec::new(),
        }
    }

    pub(crate) fn judge(
        &self,
        rules: &Rules,
        check: &StreamCheck,
        episode: u64,
        found: &mut dyn FnMut(QualityFinding),
    ) {
        let stream = check.stream.name.to_string();
        let mut note = |rule: Rule, message: String, place: Place| {
            let level = rules.level(rule);
            if level == Level::Off {
                return;
            }
            let Place { feature, row, time_ns } = place;
            let feature = feature.map(|it| check.stream.features[it].name.clone());
            let finding = QualityFinding::new(rule, level, episode, message);
            found(QualityFinding { stream: Some(stream.clone()), feature, row, time_ns, ..finding });
        };
        self.judge_pace(rules, &check.stream.name, &mut note);
        for (idx, (numbers, plan)) in self.numbers.iter().zip(&check.numbers).enumerate() {
            let names = self.names.get(idx).map_or(&[][..], Vec::as_slice);
            self.judge_numbers(rules, numbers, plan.column, names, &mut note);
        }
        let is_steps = check.stream.kind == StreamKind::Steps;
        for (frames, column) in self.frames.iter().zip(&check.frames) {
            judge_frames(rules, frames, *column, is_steps, &mut note);
        }
        for (nulls, column) in self.nulls.iter().zip(&check.nulls) {
            let share = nulls.n as f64 / self.n_rows.max(1) as f64;
            if rules.null_share < share {
                let message = format!(
                    "{} of {} rows have no value, a share of {} is allowed",
                    nulls.n, self.n_rows, rules.null_share
                );
                note(Rule::Nulls, message, Place { feature: Some(*column), row: nulls.first, time_ns: None });
            }
        }
    }

    fn judge_pace(&self, rules: &Rules, stream: &str, note: &mut Note<'_>) {
        let pace = &self.pace;
        for bounds in rules.rates.iter().filter(|it| it.stream == stream) {
            let Some(rate) = pace.rate_hz() else { continue };
            if let Some(min) = bounds.min_hz.filter(|it| rate < *it) {
                note(
                    Rule::Rate,
                    format!("{rate:.2} rows a second, at least {min} are declared"),
                    Place::default(),
                );
            }
            if let Some(max) = bounds.max_hz.filter(|it| *it < rate) {
                note(
                    Rule::Rate,
                    format!("{rate:.2} rows a second, at most {max} are declared"),
                    Place::default(),
                );
            }
        }
        let by_itself = pace.median_ns().map(|it| (it * GAP_MEDIANS).max(GAP_NS_MIN));
        let limit = rules.gap_ns.map(|it| it as f64).or(by_itself);
        if let (Some(limit), Some((gap, end_ns))) = (limit, pace.longest_gap)
            && limit < gap as f64
        {
            let message = format!("{} without a row, {} are allowed", seconds(gap as f64), seconds(limit));
            note(Rule::Gap, message, Place { time_ns: Some(end_ns.saturating_sub(gap)), ..Place::default() });
        }
        if let Some((change, time_ns)) = pace.offsets.jump.filter(|(it, _)| rules.clock_jump_ns < *it) {
            let message = format!(
                "the stamps move by {} against the log time from one row to the next, {} are allowed",
                seconds(change as f64),
                seconds(rules.clock_jump_ns as f64)
            );
            note(Rule::ClockJump, message, Place { time_ns: Some(time_ns), ..Place::default() });
        }
        if let Some((time_ns, previous)) = pace.first_back {
            let back = seconds(previous.saturating_sub(time_ns) as f64);
            let message = match pace.n_back {
                1 => format!("a row is {back} earlier than its predecessor"),
                n => format!("{n} rows are earlier than their predecessor, the first by {back}"),
            };
            note(Rule::BackwardTime, message, Place { time_ns: Some(time_ns), ..Place::default() });
        }
    }

    fn judge_numbers(
        &self,
        rules: &Rules,
        numbers: &Numbers,
        column: usize,
        names: &[String],
        note: &mut Note<'_>,
    ) {
        let place = |row| Place { feature: Some(column), row, time_ns: None };
        let counted = [
            (Rule::NonFinite, numbers.non_finite, "not finite"),
            (Rule::Range, numbers.out_of_range, "outside of the range declared"),
        ];
        for (rule, count, what) in counted {
            let Some((row, element, value)) = count.first else { continue };
            let message = match count.n {
                1 => format!("one number is {what}: {value} in element {element}"),
                n => format!("{n} numbers are {what}, the first is {value} in element {element}"),
            };
            note(rule, message, place(Some(row)));
        }
        let median = self.pace.median_ns();
        if let Some((still, since_ns)) = numbers.longest_still
            && rules.frozen_ns < still
            && numbers.is_lively(median)
        {
            let message = format!(
                "stands still for {} after moving with most rows, {} are allowed",
                seconds(still as f64),
                seconds(rules.frozen_ns as f64)
            );
            note(Rule::Frozen, message, Place { time_ns: Some(since_ns), ..place(None) });
        }
        if rules.dead_rows <= numbers.n_rows {
            for element in numbers.dead() {
                let name = names.get(element).map_or_else(String::new, |it| format!(" (`{it}`)"));
                let message = format!("element {element}{name} never moves while others do");
                note(Rule::DeadJoint, message, place(None));
            }
        }
    }
}

fn judge_frames(rules: &Rules, frames: &Frames, column: usize, is_steps: bool, note: &mut Note<'_>) {
    let place = |row| Place { feature: Some(column), row: Some(row), time_ns: None };
    let (n_equal, row) = frames.longest_run;
    if rules.equal_frames < n_equal {
        let allowed = rules.equal_frames;
        note(
            Rule::DuplicateFrames,
            format!("{n_equal} equal frames in a row, {allowed} are allowed"),
            place(row),
        );
    }
    // A message without a picture is a matter of its topic; a step without one breaks the row.
    if let Some(row) = frames.first_missing.filter(|_| is_steps) {
        let message = format!("{} frames in {} rows", frames.n_rows - frames.n_missing, frames.n_rows);
        note(Rule::RowCount, message, place(row));
    }
}

type Note<'a> = dyn FnMut(Rule, String, Place) + 'a;

/// Where inside an episode.
#[derive(Default)]
struct Place {
    feature: Option<usize>,
    row: Option<u64>,
    time_ns: Option<i64>,
}

fn seconds(nanos: f64) -> String {
    match nanos {
        it if it < 1e6 => format!("{:.1} µs", it / 1e3),
        it if it < 1e9 => format!("{:.1} ms", it / 1e6),
        it => format!("{:.2} s", it / 1e9),
    }
}
