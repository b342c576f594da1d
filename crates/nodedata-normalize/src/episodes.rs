//! What becomes of whole episodes: which are left out, and what else is known of each.

mod chooser;
mod chosen;
mod columns;
mod described;
mod facts;
mod filtered;
mod joined;
mod names;
mod patterns;
mod rules;
mod spec;
mod tables;
mod topics;
mod trim;

pub use facts::{FactType, fact_at, is_scalar};
pub use filtered::DropSteps;
pub use joined::Join;
pub use spec::{
    EpisodeColumn, EpisodeList, EpisodeName, EpisodeSpec, ListTable, MetadataFrom, Missing, PathMetadata,
    TableFile, TableMetadata, Take, TopicMetadata,
};
pub use trim::{Idle, Speed, Trim};

pub(crate) use chooser::Chooser;
pub(crate) use chosen::{ChosenSource, LeftOut, none_left, recipe as left_out_recipe};
pub(crate) use described::DescribedSource;
pub(crate) use filtered::FilteredSource;
pub(crate) use joined::joined;
pub(crate) use rules::{LeftOutSpan, Rules, Split};
pub(crate) use topics::TopicColumns;
pub(crate) use trim::{Skip, skipped};
