use std::path::Path;

use nodedata_core::{Error, ErrorKind, Locus};

/// What can be done about anything that cannot be used.
pub const SALVAGE_HINT: &str =
    "`--on-error salvage` leaves out what cannot be used, lists it, and exits with 3";

/// A refusal with the hint that goes with all of them.
pub fn refusal(message: impl Into<String>, at: Locus) -> Error {
    Error::new(ErrorKind::Corrupt, message).at(at).with_hint(SALVAGE_HINT)
}

/// An episode, by its number in the source, in a file.
pub fn in_episode(path: impl AsRef<Path>, episode: u64) -> Locus {
    Locus { episode_idx: Some(episode), ..Locus::path(path) }
}
