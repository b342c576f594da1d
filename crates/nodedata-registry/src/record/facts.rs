use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::{Price, RevisionManifest};

/// What is said of a dataset. `None` keeps what was said before: by the last revision, or when the dataset was created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// A line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// What a copy costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// `rgb`, `depth`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modality: Option<Vec<String>>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// `embodiment` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robot: Option<BTreeMap<String, String>>,
}

impl Facts {
    /// What a revision says.
    pub(crate) fn of(manifest: &RevisionManifest) -> Self {
        Self {
            title: manifest.title.clone(),
            license: manifest.license.clone(),
            price: manifest.price.clone(),
            modality: Some(manifest.modality.clone()),
            tags: Some(manifest.tags.clone()),
            robot: Some(manifest.robot.clone()),
        }
    }

    /// These, and where they say nothing what `others` say.
    #[must_use]
    pub(crate) fn or(self, others: &Self) -> Self {
        let Self { title, license, price, modality, tags, robot } = self;
        Self {
            title: title.or_else(|| others.title.clone()),
            license: license.or_else(|| others.license.clone()),
            price: price.or_else(|| others.price.clone()),
            modality: modality.or_else(|| others.modality.clone()),
            tags: tags.or_else(|| others.tags.clone()),
            robot: robot.or_else(|| others.robot.clone()),
        }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The names of those that differ, for people.
    pub(crate) fn differing(&self, other: &Self) -> Vec<&'static str> {
        let Self { title, license, price, modality, tags, robot } = self;
        let differs = [
            ("title", *title != other.title),
            ("licence", *license != other.license),
            ("price", *price != other.price),
            ("modality", *modality != other.modality),
            ("tags", *tags != other.tags),
            ("robot", *robot != other.robot),
        ];
        differs.into_iter().filter(|(_, it)| *it).map(|(name, _)| name).collect()
    }
}
