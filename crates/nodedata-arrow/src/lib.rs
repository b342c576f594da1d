//! Other people's Arrow and Parquet as features, for whoever reads files that this program did not write.
//!
//! A Parquet file is opened over any `ReadAt` and read by rows; its columns are leaves (structs become dotted
//! names), which are joined over many files; arrays take the shape of their feature, and a cell becomes JSON where
//! a table is metadata. What files we wrote ourselves look like is no business of this crate; that no damage in one
//! ends the program is, so datasets are read through [`Ranges`], [`footer`] and [`Batches`] as well.

mod arrays;
mod budget;
mod cells;
mod embedded;
mod encryption;
mod far_times;
mod footer_shape;
mod forms;
mod guarded;
mod joined;
mod leaves;
mod logical;
mod numbers;
mod page_headers;
mod page_sizes;
mod page_sums;
mod page_walk;
mod parquet_file;
mod ranges;
mod remembered;
mod row_groups;
mod runs;
mod text_sizes;
mod thrift;
mod values;
mod watched;

pub use arrays::{Load, media_column, plain_column};
pub use budget::footer_within;
pub use cells::{cell, cell_text};
pub use guarded::guarded;
pub use joined::{Joined, wider};
pub use leaves::{Leaf, all_leaves, leaves, leaves_of};
pub use numbers::{floats, integers};
pub use page_headers::page_headers;
pub use parquet_file::{ParquetFile, Rows};
pub use ranges::{Batches, Cursor, Ranges, footer};
pub use remembered::Remembered;
pub use row_groups::{RowGroup, bytes_of, spans};
