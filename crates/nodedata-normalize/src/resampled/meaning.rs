use nodedata_core::{StreamKind, StreamSchema, placed::Mistake};

use super::Beat;
use crate::{
    Against, Align, Beyond, Clock, Cut, FarStamps, FieldSpec, FieldTransform, FramesOf, Start, StepSpec,
    TimeSource,
};

/// What is said of logs alone: it would have no effect on rows that are there already.
pub(crate) fn without_meaning(spec: &StepSpec, stream: &StreamSchema, beat: Beat) -> Vec<Mistake> {
    let mut refused = Refused { mistakes: Vec::new(), hint: "remove it: each step takes the row it is" };
    if matches!(beat, Beat::Grid(_)) {
        refused.hint = "remove it: steps are made of the rows of the source";
    }
    refused.whatever_the_clock(spec, stream.kind);
    match (beat, stream.kind) {
        (Beat::Grid(_), _) => {}
        (Beat::Own | Beat::Nth(_), StreamKind::Samples) => {
            refused.unaligned(spec);
            refused.hint = "remove it; `episodes: {by: field, field: …}` makes episodes of samples";
            refused.unordered(spec);
        }
        (Beat::Own | Beat::Nth(_), StreamKind::Steps | StreamKind::Messages) => {
            if matches!(spec.clock, Clock::Rate(_)) {
                refused.hint = "remove it: the rate is that of the source, so each step takes the row it is";
            }
            refused.unaligned(spec);
            refused.bounds(spec);
        }
    }
    refused.mistakes
}

const ACROSS: &str = "the episodes of the source are recordings of their own";
const KEPT: &str = "the steps of the source are kept, every one";
const AWAY: &str = "the steps of the source are no distance away";

struct Refused {
    mistakes: Vec<Mistake>,
    hint: &'static str,
}

fn at(field: &FieldSpec, key: &str) -> String {
    format!("fields.{}.{key}", field.name)
}

impl Refused {
    fn add(&mut self, is_said: bool, key: impl AsRef<str>, message: &str) {
        if is_said {
            self.mistakes.push(Mistake::new(key.as_ref(), message).with_hint(self.hint));
        }
    }

    /// What only messages have.
    fn whatever_the_clock(&mut self, spec: &StepSpec, kind: StreamKind) {
        self.add(
            spec.episodes != Cut::Whole,
            "episodes.by",
            "the source has episodes of its own, which are not cut again",
        );
        self.add(
            matches!(spec.clock, Clock::Topic(_)) && kind == StreamKind::Steps,
            "steps.clock",
            "the source has steps already, so there is no topic to choose as clock",
        );
        self.add(
            spec.time != TimeSource::LogTime || !spec.topic_times.is_empty(),
            "steps.time",
            "the source has steps already, so there is no topic to place in time",
        );
        self.add(
            spec.start != Start::First,
            "steps.start",
            "the source says itself where its episodes start",
        );
        self.add(spec.keep_streams, "streams", "the source has steps already, and no topics beside them");
        self.add(
            spec.order_bound_ns.is_some(),
            "steps.order_bound_ms",
            "the steps of the source have no log time",
        );
        self.add(
            spec.far_stamps != FarStamps::Drop,
            "steps.far_stamps",
            "the steps of the source have no log time",
        );
        self.add(spec.hold_across, "steps.hold_across", ACROSS);
        for field in &spec.fields {
            self.add(field.hold_across == Some(true), at(field, "hold_across"), ACROSS);
            self.add(
                field.frames != FramesOf::Same,
                at(field, "frames"),
                "only frames of messages say beside them what they are",
            );
        }
    }

    /// What only a choice among rows needs.
    fn unaligned(&mut self, spec: &StepSpec) {
        self.add(spec.skew, "steps.skew", "the steps of the source are no distance away");
        for field in &spec.fields {
            self.add(
                !matches!(field.align, None | Some(Align::Nearest | Align::Hold)),
                at(field, "align"),
                "the steps of the source are not interpolated",
            );
            self.add(
                field.skew == Some(true),
                at(field, "skew"),
                "the steps of the source are no distance away",
            );
            let beyond = field.tolerance.unwrap_or(spec.tolerance).beyond;
            let absent = field.by_name.as_ref().and_then(|it| it.absent);
            self.add(beyond == Beyond::Drop, at(field, "beyond"), KEPT);
            self.add(absent == Some(Beyond::Drop), at(field, "by_name"), KEPT);
        }
    }

    /// How far away a row may be.
    fn bounds(&mut self, spec: &StepSpec) {
        self.add(spec.align != Align::Nearest, "steps.align", "the steps of the source are not aligned");
        self.add(spec.tolerance.max_ns.is_some(), "steps.tolerance_ms", AWAY);
        self.add(spec.upsample, "steps.upsample", "the steps of the source are not brought to another rate");
        for field in &spec.fields {
            self.add(
                matches!(field.align, Some(Align::Nearest | Align::Hold)),
                at(field, "align"),
                "the steps of the source are not aligned",
            );
            let own = field.tolerance.filter(|it| it.max_ns.is_some() && it.max_ns != spec.tolerance.max_ns);
            self.add(own.is_some(), at(field, "tolerance_ms"), AWAY);
        }
    }

    /// What is said of rows in an order alone: samples have neither clock nor neighbours.
    fn unordered(&mut self, spec: &StepSpec) {
        self.add(
            spec.clock != Clock::Own,
            "steps.clock",
            "the rows of the source are samples, which have no clock",
        );
        self.add(
            spec.align != Align::Nearest,
            "steps.align",
            "the rows of the source are samples, which are not aligned",
        );
        self.add(
            spec.tolerance.max_ns.is_some(),
            "steps.tolerance_ms",
            "the rows of the source are samples, which have no time",
        );
        self.add(spec.upsample, "steps.upsample", "the rows of the source are samples, which have no rate");
        self.add(
            !spec.transform.is_empty(),
            "steps.transform",
            "the rows of the source are samples, which belong to no episode",
        );
        for field in &spec.fields {
            self.add(
                matches!(field.align, Some(Align::Nearest | Align::Hold)),
                at(field, "align"),
                "the rows of the source are samples, which are not aligned",
            );
            self.add(
                field.tolerance.is_some_and(|it| it.max_ns.is_some() && it.max_ns != spec.tolerance.max_ns),
                at(field, "tolerance_ms"),
                "the rows of the source are samples, which have no time",
            );
            let moved = field.transform.iter().position(|it| match it {
                FieldTransform::Shift { .. } => true,
                FieldTransform::Delta { against, .. } => matches!(against, Against::Step(_)),
                _ => false,
            });
            if let Some(idx) = moved {
                let message = "the rows of the source are samples, of which none is before or behind another";
                self.add(true, at(field, &format!("transform[{idx}]")), message);
            }
        }
    }
}
