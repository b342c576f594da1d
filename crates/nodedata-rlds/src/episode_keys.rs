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

    /// The key of a record.
    ///
    /// # Errors
    /// `Corrupt` when its feature has no value, or one that another episode has.
    pub(crate) fn key(
        &mut self,
        shard: &str,
        record: usize,
        facts: Option<&EpisodeFacts>,
        place: &Locus,
    ) -> Result<String> {
        let Self::Told(feature, known) = self else { return Ok(format!("{shard}#{record}")) };
        let refused = |message: String| {
            let err = Error::new(ErrorKind::Corrupt, message).with_hint(HINT);
            err.at(Locus { feature: Some(feature.clone()), ..place.clone() })
        };
        let fact = facts.and_then(|it| it.metadata.get(feature.as_str()));
        let key = fact.map(ToString::to_string).filter(|it| !it.is_empty());
        let key = key.ok_or_else(|| refused("the episode has no value to be called by".to_owned()))?;
        if let Some(other) = known.insert(key.clone(), place.clone()) {
            return Err(refused(format!("the episode is called `{key}`, as another is ({other})")));
        }
        Ok(key)
    }
}
