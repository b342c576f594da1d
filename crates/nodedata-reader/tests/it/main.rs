//! Rows of datasets in folders, in stores that are near and in registries that are far away.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod cache;
mod far;
mod made;
mod media;
mod numbers;
mod pace;
mod preroll;
mod registry;
mod video;
