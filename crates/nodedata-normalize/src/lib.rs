//! Logs become steps: a [`nodedata_core::Source`] over a source, which cuts episodes, aligns clocks, selects, renames
//! and casts. What it does is told by a [`StepSpec`].

mod clock;
mod mistake;
mod spec;

pub use clock::Rate;
pub use mistake::{Mistake, mistakes_to_error};
pub use spec::{
    Align, Beyond, ByName, Clock, Constant, Cut, EpisodeRange, FieldFrom, FieldSpec, Marker, ORDER_BOUND_NS,
    Start, StepSpec, TimeSource, Tolerance, TopicTime,
};
