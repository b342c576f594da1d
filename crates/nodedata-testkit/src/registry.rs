//! What every registry must do, whether a directory, a bucket, memory or a server is behind it; and shards to
//! push.

mod creation;
mod far;
mod parts;
mod pushes;
mod records;
mod shards;

use std::sync::Arc;

use nodedata_registry::{DatasetName, Remote};

pub use far::Far;
pub use shards::{ShardSpec, shard_bytes, write_shard};

/// Holds a registry to what push and pull rely on. `remote` may publish to every dataset below `owner`, and
/// holds none of that owner yet.
///
/// # Panics
/// With the promise that is broken.
pub fn conformance(remote: &Arc<dyn Remote>, owner: &str) {
    let name = |it: &str| DatasetName::new(owner, it).expect("a name");
    records::nothing_is_there(&**remote, &name("nothing"));
    parts::any_order_any_number_of_times(&**remote, &name("parts"));
    parts::other_bytes_are_refused(&**remote, &name("lies"));
    parts::small_blobs_come_together(&**remote, &name("together"));
    records::one_record_has_a_number(remote, &name("race"));
    creation::what_was_said_then_is_taken_over(remote, &name("begun"));
    pushes::what_is_pushed_is_pulled(remote, &name("round"));
    pushes::ranges_are_verified(remote, &name("ranges"));
    pushes::increments_of_many_are_all_kept(remote, &name("many"), 4, 3);
    pushes::changes_of_the_same_episode_conflict(remote, &name("clash"));
}

pub use pushes::increments_of_many_are_all_kept;
