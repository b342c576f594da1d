//! Samples, as training reads them: planned, fetched, decoded, and ready in their order.
//!
//! A [`StreamPlan`] is plain data. A [`Stream`] drives it: threads fetch coded bytes in the order of the plan, as far ahead as memory lets
//! them, others decode them, in any order, and samples wait in a ring until they are taken in theirs. Who is slow stops the others.

mod assembly;
mod batch;
mod batch_memory;
mod feed;
mod flights;
mod layout;
mod lines;
mod options;
mod portions;
mod queue;
mod row_store;
mod run;
mod sample;
mod split_feed;
mod stats;
mod stream;
mod stream_plan;

pub use batch::{Batch, PolledBatch, Whole};
pub use options::{DecodedCache, EngineOptions, OnError, StreamOptions};
pub use sample::{Polled, Sample, SampleField};
pub use stats::{Skipped, StreamStats};
pub use stream::Stream;
pub use stream_plan::StreamPlan;
