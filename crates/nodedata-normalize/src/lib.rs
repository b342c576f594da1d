//! Logs become steps: a [`nodedata_core::Source`] over a source, which cuts episodes, aligns clocks, selects, renames,
//! casts and transforms. What it does is told by a [`StepSpec`].

mod absent;
mod align;
mod aligned;
mod all_fields;
mod cast;
mod clock;
mod companions;
mod cut;
mod episodes;
mod far;
mod fates;
mod flat;
mod grouped;
mod idle_ranges;
mod latched;
mod lengths;
mod loaded;
mod lookup;
mod mapping;
mod named;
mod origin;
mod pace;
mod path;
mod period;
mod pictures;
mod piece;
mod plan;
mod planned;
mod pose;
mod reading;
mod recording;
mod resampled;
mod selected;
mod spec;
mod stamp;
mod store;
mod survey;
mod track;
mod transform;
mod unfit;
mod unmet;
mod values;
mod waiting;

pub use aligned::{AlignedSource, mistakes, normalized, step_features, with_episodes};
pub use all_fields::{all_fields, decode_videos};
pub use clock::Rate;
pub use episodes::{
    DropSteps, EpisodeColumn, EpisodeList, EpisodeName, EpisodeSpec, FactType, Idle, Join, ListTable,
    MetadataFrom, Missing, PathMetadata, Speed, TableFile, TableMetadata, Take, TopicMetadata, Trim, fact_at,
    is_scalar,
};
pub use grouped::{GroupBy, Grouped, Samples, group_mistakes, grouped, grouped_streams, pattern_mistake};
pub use lengths::with_lengths;
pub use origin::{FieldOrigin, MessageOrigin, StepAt};
pub use spec::{
    Align, Beyond, ByName, Change, Clock, Constant, Cut, EpisodeRange, FAR_STAMP_NS, FarStamps, FieldFrom,
    FieldSpec, FramesOf, Marker, ORDER_BOUND_NS, PERIOD_MESSAGES_MIN, PERIODS_MAX, PoseFrom, Start, StepSpec,
    TimeSource, Tolerance, TopicTime,
};
pub use transform::{
    ALL as TRANSFORMS, Against, Argument, ArgumentKind, Arguments, Degenerate, DeltaEnd, End, FieldTransform,
    FrameCoding, Given, Items, ResizeWay, RotationForm, Scope, StepTransform, Transform, TransformKind, Zero,
    find as find_transform, settle_encoders,
};
pub use unfit::Unfit;

#[cfg(test)]
mod tests;
