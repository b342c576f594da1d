//! The order in which training reads a dataset: planned by arithmetic from what the manifest and the index tell, the same for every
//! number of ranks and workers, and resumed from a state of a few hundred bytes; and the engine that fetches and decodes its samples.

pub mod order;

mod engine;
mod mixture;
mod named;
mod plan;
mod selection;
mod shape;
mod share;
mod state;
mod window;

pub use engine::{
    Batch, DecodedCache, EngineOptions, OnError, Polled, PolledBatch, Sample, SampleField, Skipped, Stream,
    StreamOptions, StreamPlan, StreamStats, Whole,
};
pub use mixture::{Mixture, PERIOD, Period, Stop};
pub use order::{Blocks, Keys, Lanes, Located, Order, Samples};
pub use plan::{
    Draw, Draws, MixOptions, OrderOptions, Plan, PlannedSource, Position, Shuffle, SourceId, SourceRequest,
};
pub use selection::{Selection, Unit};
pub use shape::Extent;
pub use share::{Place, Share, Tail};
pub use state::{MixState, OrderState, SourceState, State};
pub use window::{Clock, Pad, Slot, TOLERANCE_S, Window};
