//! Steps of made-up recordings, held against a reference that looks at every message for every step.

mod coded;
mod deltas;
mod episodes;
mod frames;
mod memory;
mod names;
mod poses;
mod reference;
mod resampled;
mod rules;
mod step_memory;
mod toy;
mod transforms;
mod videos;
