use nodedata_core::{Error, ErrorKind};
use nodedata_io::printable_text;

use crate::runtime::Stalled;

/// An error of the store in our terms. Its text is kept, its type is not: nobody branches on it.
pub(crate) fn store_error(what: &str, label: &str, err: &object_store::Error) -> Error {
    use object_store::Error as E;
    let (kind, hint) = match err {
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            (ErrorKind::Denied, "check the credentials in the environment (AWS_…, GOOGLE_…, AZURE_…)")
        }
        E::NotFound { .. } => (ErrorKind::Io, "check the store's address, or run `node-data store fsck`"),
        E::NotSupported { .. } | E::NotImplemented { .. } => {
            (ErrorKind::Unsupported, "use another store, or a server before it")
        }
        _ => (ErrorKind::Io, "try again; what was sent already is not sent twice"),
    };
    let mut text = err.to_string();
    let mut source = std::error::Error::source(err);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Most of them repeat what lies below.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    Error::new(kind, format!("{what} in {label}")).with_source(printable_text(&text)).with_hint(hint)
}

pub(crate) fn stalled(_: Stalled) -> Error {
    Error::new(ErrorKind::Io, "the store stopped answering")
        .with_hint("try again; what was sent already is not sent twice")
}
