use std::path::Path;

use nodedata_core::{Error, ErrorKind, Result, suggest};
use nodedata_pipeline::PublishStage;
use nodedata_registry::{DataClass, Facts, PushOptions, PushReport, Sensitivity, parse_price, push};

use crate::{
    args::ProgressArg,
    commands::{
        dataset::bump,
        registry::{Registry, cache},
    },
    progress::Shown,
};

/// Publishes the dataset that a pipeline made, as its `publish` stage says, to the store that the environment
/// names (`NODEDATA_STORE`), or to the user's own.
///
/// # Errors
/// `Config` when the stage asks for what cannot be; what pushing reports.
pub(crate) fn publish(stage: &PublishStage, folder: &Path, progress: ProgressArg) -> Result<PushReport> {
    let registry = Registry::of_environment(stage.token.as_ref().map(|it| it.env.as_str()))?;
    let reference = registry.reference(&stage.dataset)?;
    let sensitivity = stage.sensitivity.as_deref().map(sensitivity).transpose()?;
    let price = stage.price_usd.map(|it| parse_price(&it.to_string())).transpose()?;
    let options = PushOptions {
        facts: Facts {
            license: Some(stage.license.clone()),
            price,
            modality: (!stage.modality.is_empty()).then(|| stage.modality.clone()),
            ..Facts::default()
        },
        bump: bump(&stage.revision)?,
        sensitivity,
        cache: cache(),
        ..PushOptions::new(reference.dataset, vec![folder.to_owned()], &registry.author)
    };
    let shown = Shown::new(progress);
    let report = push(&registry.remote, &options, &shown);
    shown.done();
    report
}

/// A data class, and what the data shows of people: `none`, or `[biometric, face]`.
fn sensitivity(words: &[String]) -> Result<Sensitivity> {
    let (first, categories) = words.split_first().map_or(("none", &[][..]), |(first, rest)| (first, rest));
    let class: DataClass = serde_json::from_value(first.into()).map_err(|err| {
        Error::new(
            ErrorKind::Config,
            format!("`publish.sensitivity` starts with `{first}`, which is no data class"),
        )
        .with_source(err)
        .with_hint(suggest(first, ["none", "pseudonymous", "identifying", "biometric", "special-category"]))
    })?;
    Ok(Sensitivity {
        class,
        categories: categories.to_vec(),
        special_category: class == DataClass::SpecialCategory,
        ..Sensitivity::default()
    })
}
