use std::{error::Error as StdError, fmt, sync::Arc};

use nodedata_core::{Error, Locus};

/// Where in a dataset reading failed. Each layer fills in what only it knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// `owner/name`, or the folder.
    pub dataset: Option<String>,
    /// The revision's number; `None` in a folder that is none.
    pub revision: Option<String>,
    /// Path of the shard in the dataset.
    pub shard: Option<String>,
    /// Row in the shard: the first of those that were read together, where it is not one alone; 0 where the shard cannot be opened,
    /// and so none of its rows be read.
    pub row: Option<u64>,
    /// Position of the episode in the dataset.
    pub episode: Option<u64>,
    /// The episode's key.
    pub key: Option<String>,
    /// Step in the episode, as for `row`.
    pub step: Option<u64>,
    /// The feature.
    pub feature: Option<String>,
    /// Byte in the shard.
    pub byte: Option<u64>,
}

impl Place {
    /// Where an error of this crate happened, as precisely as it is known.
    pub fn of(err: &Error) -> Option<&Self> {
        let mut cause = err.source();
        while let Some(it) = cause {
            if let Some(placed) = it.downcast_ref::<Placed>() {
                return Some(&placed.place);
            }
            cause = it.source();
        }
        None
    }

    /// An error with this place: in words, as the locus that every error has, and for [`Self::of`]. What the error knows itself
    /// stays.
    pub(crate) fn put_on(mut self, err: Error) -> Error {
        if Self::of(&err).is_some() {
            return err;
        }
        let locus = err.locus();
        self.byte = self.byte.or(locus.byte_offset);
        self.feature = self.feature.or_else(|| locus.feature.clone());
        let outer = Error::new(err.kind(), self.message()).at(err.locus().clone()).at(self.locus());
        let outer = match err.hint() {
            Some(hint) => outer.with_hint(hint),
            None => outer,
        };
        outer.with_source(Placed { place: self, cause: Arc::new(err) })
    }

    fn message(&self) -> String {
        let mut what = match (self.row, &self.shard) {
            (Some(row), _) => format!("row {row}"),
            (None, Some(_)) => "a shard".to_owned(),
            (None, None) => "a part".to_owned(),
        };
        if let Some(dataset) = &self.dataset {
            what.push_str(&format!(" of {dataset}"));
            if let Some(revision) = &self.revision {
                what.push_str(&format!("@{revision}"));
            }
        }
        format!("{what} cannot be read")
    }

    fn locus(&self) -> Locus {
        Locus {
            path: self.shard.as_ref().map(Into::into),
            byte_offset: self.byte,
            episode_idx: self.episode,
            step_idx: self.step,
            feature: self.feature.clone(),
            ..Locus::default()
        }
    }
}

/// The cause of an error, with the place of it.
#[derive(Debug, Clone)]
struct Placed {
    place: Place,
    cause: Arc<Error>,
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.cause, f)
    }
}

impl StdError for Placed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}

#[cfg(test)]
mod tests {
    use nodedata_core::ErrorKind;

    use super::*;

    #[test]
    fn an_error_tells_its_place_in_words_and_in_parts() {
        let inner =
            Error::new(ErrorKind::Corrupt, "the JPEG frame is damaged").at(Locus::byte(7)).with_hint("look");
        let place = Place {
            dataset: Some("acme/x".to_owned()),
            revision: Some("1.2.0".to_owned()),
            shard: Some("data/a.parquet".to_owned()),
            row: Some(17),
            step: Some(3),
            feature: Some("rgb".to_owned()),
            ..Place::default()
        };
        let err = place.clone().put_on(inner);
        assert_eq!(err.to_string(), "row 17 of acme/x@1.2.0 cannot be read");
        assert_eq!(err.chain(), "row 17 of acme/x@1.2.0 cannot be read: the JPEG frame is damaged");
        assert_eq!(err.locus().to_string(), "data/a.parquet, byte 7, step 3, feature `rgb`");
        assert_eq!((err.kind(), err.hint()), (ErrorKind::Corrupt, Some("look")));
        assert_eq!(Place::of(&err), Some(&Place { byte: Some(7), ..place }));
        let again = Place { row: Some(1), ..Place::default() }.put_on(err);
        assert_eq!(Place::of(&again).and_then(|it| it.row), Some(17), "the inner place is the nearer one");
    }
}
