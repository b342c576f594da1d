use std::{error::Error as StdError, fmt};

use nodedata_core::{Error, ErrorKind};

use crate::input::printable_text;

/// The failure of a request as one of ours; `what` says what could not be done, and where.
///
/// `Denied` when the store refuses the credentials, `Unsupported` for what it cannot do at all, otherwise `Io`.
pub fn store_error(what: impl Into<String>, err: &object_store::Error) -> Error {
    use object_store::Error as E;
    let (kind, hint) = match err {
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            (ErrorKind::Denied, "check the credentials in the environment (AWS_…, GOOGLE_…, AZURE_…)")
        }
        E::NotFound { .. } => (ErrorKind::Io, "check the address"),
        E::NotSupported { .. } | E::NotImplemented { .. } => {
            (ErrorKind::Unsupported, "use a store of another kind")
        }
        _ => (ErrorKind::Io, "check the address, the network and the credentials, then try again"),
    };
    let failure = Error::new(kind, what).with_hint(hint);
    match Cause::of(err) {
        Some(cause) => failure.with_source(cause),
        None => failure,
    }
}

/// Whether something failed because there is no room for more: on the disk, within a quota of the system's, or in the store.
pub fn is_full(err: &Error) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = Some(err);
    while let Some(link) = next {
        let is_full = match link.downcast_ref::<Cause>() {
            Some(cause) => cause.is_full,
            None => link_is_full(link),
        };
        if is_full {
            return true;
        }
        next = link.source();
    }
    false
}

fn link_is_full(link: &(dyn StdError + 'static)) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    link.downcast_ref::<std::io::Error>().is_some_and(|it| matches!(it.kind(), StorageFull | QuotaExceeded))
}

/// What the store's client said. Its errors repeat their sources in their own text, and ours is a chain
/// whose every link is printed: only what adds something becomes a link.
#[derive(Debug)]
struct Cause {
    text: String,
    source: Option<Box<Self>>,
    /// Whether there was no room.
    is_full: bool,
}

impl Cause {
    fn of(err: &(dyn StdError + 'static)) -> Option<Self> {
        let mut texts: Vec<String> = Vec::new();
        let mut next = Some(err);
        let mut is_full = false;
        while let Some(link) = next {
            is_full |= link_is_full(link);
            // Answers of servers span lines.
            let text = link.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            let text = printable_text(&text);
            // Buckets have no kind of error for it, and say it in words.
            is_full |= ["507 Insufficient Storage", "StorageFull"].iter().any(|it| text.contains(it));
            if texts.last().is_none_or(|it| !it.contains(&text)) {
                texts.push(text);
            }
            next = link.source();
        }
        texts
            .into_iter()
            .rev()
            .fold(None, |source, text| Some(Self { text, source: source.map(Box::new), is_full }))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|it| it as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_is_already_told_is_not_told_again() {
        let refused = std::io::Error::other("connection refused");
        let inner = Cause { text: "connect\n error".to_owned(), source: None, is_full: false };
        let request = object_store::Error::Generic { store: "S3", source: Box::new(inner) };
        let failure = store_error("cannot list the objects", &request);
        let cause = failure.source().expect("the store said why");
        assert_eq!(cause.to_string(), "Generic S3 error: connect error");
        assert!(cause.source().is_none());

        // Text that the outer error does not hold stays.
        let source = Cause::of(&refused).map(Box::new);
        let inner = Cause { text: "connect".to_owned(), source, is_full: false };
        let request = object_store::Error::Generic { store: "S3", source: Box::new(inner) };
        let failure = store_error("cannot list the objects", &request);
        let cause = failure.source().and_then(StdError::source).expect("one more link");
        assert_eq!(cause.to_string(), "connection refused");
    }

    #[test]
    fn no_room_is_told_whoever_says_so() {
        let of = |source: Box<dyn StdError + Send + Sync>| {
            is_full(&store_error("cannot write", &object_store::Error::Generic { store: "x", source }))
        };
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(of(Box::new(full())) && is_full(&Error::from(full())));
        assert!(
            of("XMinioStorageFull: Storage backend has reached its minimum free drive threshold.".into())
        );
        assert!(!of("no such bucket".into()) && !is_full(&Error::new(ErrorKind::Io, "the disk is full")));
    }

    #[test]
    fn refusals_are_told_apart() {
        let source = || Box::new(std::io::Error::other("403")) as Box<dyn StdError + Send + Sync>;
        let denied = object_store::Error::PermissionDenied { path: "a".to_owned(), source: source() };
        assert_eq!(store_error("x", &denied).kind(), ErrorKind::Denied);
        let absent = object_store::Error::NotFound { path: "a".to_owned(), source: source() };
        assert_eq!(store_error("x", &absent).kind(), ErrorKind::Io);
        let other =
            object_store::Error::NotImplemented { operation: "a".to_owned(), implementer: "b".to_owned() };
        assert_eq!(store_error("x", &other).kind(), ErrorKind::Unsupported);
    }
}
