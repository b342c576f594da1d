//! Datasets in the words of other tools: Croissant with RAI for a revision, and a folder as `load_dataset`
//! wants it.

mod croissant;
mod data_types;
mod hugging_face;

pub use croissant::{CroissantFacts, croissant};
pub use hugging_face::{ExportReport, HubFacts, export_hugging_face};
