//! Looking after a store: is everything there that revisions name, are its bytes what was published, and
//! what does nobody need.

mod collecting;
mod derived;
mod fsck;
mod gc;
mod heal;
mod leases;
mod purged;
mod reach;

pub(crate) use collecting::wait_for_collection;
pub(crate) use purged::remove_purged;

pub use fsck::{Depth, Flaw, FsckReport, fsck};
pub use gc::{GcOptions, GcReport, gc};
pub use heal::{HealReport, heal};
