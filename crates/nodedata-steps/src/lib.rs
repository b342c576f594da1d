//! What formats of steps share: a dataset of theirs is one table whose rows are the steps of episodes.
//!
//! A format finds the root of its dataset, says which columns it has and where their values come from, and cuts
//! each episode into pieces. It then reads a piece by handing out columns of the next rows; the stream around it
//! makes batches of them and accounts for what could not be read. Nothing here knows a file format.

// Planning.
mod listing;
mod pieces;
mod refusal;
mod splits;

// Columns.
mod builtin;
mod media;
mod selection;

// Reading rows.
mod piece_stream;
mod samples;

pub use builtin::{STEPS, name_in_table, step_index, step_indices, timestamp, timestamps};
pub use listing::{Found, Listing, RootMarker};
pub use media::media_shapes;
pub use piece_stream::{Piece, PieceReader, PieceStream, StepRows};
pub use pieces::{batch_rows, cut};
pub use refusal::{SALVAGE_HINT, in_episode, refusal};
pub use samples::{
    DealtStretch, EMBED_BYTES_MAX, Learned, LearnedFile, MISSING, Named, PackedStretch, RecordPlace,
    References, SamplePart, SampleReader, SampleRows, SampleStream, Share, check_dealt_column,
    check_dealt_field, key_of, looks_like, name_of_sample, own_name_of_sample, own_splits, plan_samples,
    row_index, sample_inputs, samples_schema,
};
pub use selection::{Column, check_names, check_undecoded, decoding_of, is_worked_on, select};
pub use splits::split_for_uncovered;
