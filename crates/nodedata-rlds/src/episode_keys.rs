use std::collections::HashMap;

use nodedata_core::{EpisodeFacts, Error, ErrorKind, Locus, Result};

/// What episodes are called by.
pub(crate) enum EpisodeKeys {
    /// Their file, and which of its records they are.
    Place,
    /// A feature, and which episode has each of its values.
    Told(String, HashMap<String, Locus>),
}

const HINT: &str = "name another feature as `source.episode_key`, or none: then the file and the number of the record in it are \
                    the key";

impl EpisodeKeys {
    /// By the feature of that name.
    pub(crate) fn of(feature: Option<String>) -> Self {
        feature.map_or(Self::Place, |it| Self::Told(it, HashMap::new()))
    }

    /// Whether only records tell them.
    pub(crate) fn are_told(&self) -> bool {
        matches!(self, Self::Told(..))
    }

    /// The key of a record; `None` where its feature has no value.
    ///
    /// # Errors
    /// `Corrupt` when another episode has it: then the feature is none to call episodes by.
    pub(crate) fn key(
        &mut self,
        shard: &str,
        record: usize,
        facts: Option<&EpisodeFacts>,
        place: &Locus,
    ) -> Result<Option<String>> {
        let Self::Told(feature, known) = self else { return Ok(Some(format!("{shard}#{record}"))) };
        let fact = facts.and_then(|it| it.metadata.get(feature.as_str()));
        let key = fact.map(ToString::to_string).filter(|it| !it.is_empty());
        let Some(key) = key else { return Ok(None) };
        if let Some(other) = known.insert(key.clone(), place.clone()) {
            let message = format!("the episode is called `{key}`, as another is ({other})");
            let place = Locus { feature: Some(feature.clone()), ..place.clone() };
            return Err(Error::new(ErrorKind::Corrupt, message).at(place).with_hint(HINT));
        }
        Ok(Some(key))
    }

    /// What an episode without a key is.
    pub(crate) fn none(&self, place: &Locus) -> Error {
        let feature = match self {
            Self::Place => None,
            Self::Told(feature, _) => Some(feature.clone()),
        };
        Error::new(ErrorKind::Corrupt, "the episode has no value to be called by")
            .at(Locus { feature, ..place.clone() })
            .with_hint(format!("{HINT}; `--on-error salvage` leaves out such episodes"))
    }
}
