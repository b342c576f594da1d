use std::path::Path;

use nodedata_core::{Progress, Result};
use nodedata_pipeline::PublishStage;
use nodedata_registry::{Facts, PushOptions, PushReport, parse_price, push};

use crate::{
    access::Access,
    registry::{Opening, Registry},
    words::{bump, sensitivity},
};

/// Publishes the dataset that a pipeline made, as its `publish` stage says, where `access` says.
///
/// # Errors
/// `Config` when the stage asks for what cannot be, and when the variable that it names holds no token; what pushing
/// reports.
pub fn publish(
    stage: &PublishStage,
    folder: &Path,
    access: Access,
    progress: &dyn Progress,
) -> Result<PushReport> {
    let access = match &stage.token {
        Some(secret) => access.with_token_of(&secret.env)?,
        None => access,
    };
    let registry = Registry::open(access, Opening::OrNew)?;
    let reference = registry.reference(&stage.dataset)?;
    let said = stage.sensitivity.as_deref().map(|it| sensitivity("publish.sensitivity", it));
    let price = stage.price_usd.map(|it| parse_price(&it.to_string())).transpose()?;
    let options = PushOptions {
        facts: Facts {
            license: Some(stage.license.clone()),
            price,
            modality: (!stage.modality.is_empty()).then(|| stage.modality.clone()),
            ..Facts::default()
        },
        bump: bump(&stage.revision)?,
        sensitivity: said.transpose()?,
        cache: registry.cache.clone(),
        ..PushOptions::new(reference.dataset, vec![folder.to_owned()], &registry.author)
    };
    push(&registry.remote, &options, progress)
}
