//! Samples become steps: runs of rows with one key are episodes. The keys are read first, alone; of each run only where it begins
//! and ends is kept, and an episode is then read in pieces that are rows of the partitions below.
//!
//! `grouped@1` is a promise, as versions of transforms are: what it makes of samples never changes.

mod joiner;
mod keys;
mod loaded;
mod pass;
mod runs;
mod source;
mod spec;
mod streams;

pub use source::{Grouped, grouped};
pub use spec::{GroupBy, pattern_mistake};
pub use streams::{Samples, group_mistakes, grouped_streams};

#[cfg(test)]
mod tests;
