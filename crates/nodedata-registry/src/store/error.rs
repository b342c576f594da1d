use nodedata_core::{Error, ErrorKind};

use crate::runtime::Stalled;

/// What could not be done in the store at `label`.
pub(crate) fn object_error(what: &str, label: &str, err: &object_store::Error) -> Error {
    let failure = nodedata_io::store_error(format!("{what} in {label}"), err);
    match err {
        object_store::Error::NotFound { .. } => {
            failure.with_hint("check the store's address, or run `node-data store fsck`")
        }
        _ => failure,
    }
}

/// Whether something could not be done because the store has no room for more: trying again does not help.
pub fn is_full(err: &Error) -> bool {
    nodedata_io::is_full(err)
}

pub(crate) fn stalled(_: Stalled) -> Error {
    Error::new(ErrorKind::Io, "the store stopped answering")
        .with_hint("try again; what was sent already is not sent twice")
}
