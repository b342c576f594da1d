//! Looking after a store: is everything there that revisions name, are its bytes what was published, and
//! what does nobody need.

mod derived;
mod fsck;
mod gc;
mod heal;
mod reach;

pub(crate) use gc::wait_for_collection;

pub use fsck::{Depth, Flaw, FsckReport, fsck};
pub use gc::{GcOptions, GcReport, gc};
pub use heal::{HealReport, heal};
