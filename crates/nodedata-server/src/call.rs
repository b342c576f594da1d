use std::sync::Arc;

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus};
use nodedata_registry::{B3, DatasetName, Reference, Selector};
use serde::de::DeserializeOwned;

use crate::{
    app::App,
    asker::Asker,
    numbers::{Number, Said},
    principal::Principal,
    refusal::{Answered, Refusal},
    reply::Reply,
};

/// A request, as handlers see it.
pub(crate) struct Call {
    pub(crate) principal: Principal,
    /// Whom limits count it to.
    pub(crate) asker: Asker,
    pub(crate) said: Said,
    pub(crate) body: Bytes,
    /// Whether a browser asks that has logged in, and not one with a token of its own.
    pub(crate) has_session: bool,
    /// Whether the answer's body is not wanted.
    pub(crate) is_head: bool,
}

/// Answers what needs no waiting, so that a thread of the runtime may do it. What is `None` of it is for the route's handler, which would
/// answer the same.
pub(crate) type AtOnce = fn(&Arc<App>, &Call) -> Option<Answered<Reply>>;

impl Call {
    pub(crate) fn param(&self, name: &str) -> &str {
        self.said.params.get(name).map_or("", String::as_str)
    }

    /// `{owner}/{name}`.
    pub(crate) fn dataset(&self) -> Answered<DatasetName> {
        DatasetName::new(self.param("owner"), self.param("name")).map_err(|_| Refusal::missing("dataset"))
    }

    /// `{owner}/{name}` with an optional `@revision` behind the name.
    pub(crate) fn reference(&self) -> Answered<Reference> {
        let name = self.param("name");
        let (name, selector) = match name.split_once('@') {
            Some((name, selector)) => {
                (name, Selector::parse(selector).map_err(|err| Refusal::invalid(&err))?)
            }
            None => (name, Selector::Tag(nodedata_registry::LATEST.to_owned())),
        };
        let dataset = DatasetName::new(self.param("owner"), name).map_err(|_| Refusal::missing("dataset"))?;
        Ok(Reference { dataset, selector })
    }

    pub(crate) fn b3(&self) -> Answered<B3> {
        self.param("b3").parse().map_err(|_| no_digest())
    }

    /// A number that the route declares, which was held against its maximum before.
    pub(crate) fn number(&self, number: &Number) -> Answered<u64> {
        number.of(&self.said)
    }

    pub(crate) fn json<T: DeserializeOwned>(&self) -> Answered<T> {
        serde_json::from_slice(&self.body).map_err(|err| {
            let place =
                Locus { line_column: Some((line(err.line()), line(err.column()))), ..Locus::default() };
            // The library's words hold pieces of the body, which may be secret.
            let err = Error::new(ErrorKind::Config, "the body is not what this takes").at(place);
            Refusal::invalid(&err.with_hint("see openapi.json"))
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.said.headers.get(name)?.to_str().ok()
    }
}

/// Without the text that was sent: people paste all sorts of things.
pub(crate) fn no_digest() -> Refusal {
    Refusal::new(422, "invalid", "this is no BLAKE3 digest", "write 64 lower-case hex digits")
}

fn line(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
