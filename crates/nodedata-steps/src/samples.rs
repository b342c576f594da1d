//! What formats of samples share: records that are a row each, found by one pass over all of them, cut into stretches,
//! dealt to splits, and read stretch by stretch. Nothing here knows what a record is.

mod learned;
mod plan;
mod references;
mod rows;
mod split_names;
mod stream;
mod table;

pub use learned::{Learned, LearnedFile};
pub use plan::{DealtStretch, PackedStretch, SamplePart, Share, key_of, plan_samples, sample_inputs};
pub use references::{EMBED_BYTES_MAX, MISSING, Named, References, looks_like};
pub use rows::{RecordPlace, SampleRows};
pub use split_names::own_splits;
pub use stream::{SampleReader, SampleStream};
pub use table::{
    check_dealt_column, check_dealt_field, name_of_sample, own_name_of_sample, row_index, samples_schema,
};
