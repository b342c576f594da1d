use nodedata_core::{
    DType, Error, ErrorKind, Feature, OpenOptions, Result, RowDeal, RowKey, STEP_INDEX, STEPS as STEPS_NAME,
    StreamKind, StreamSchema, meta, suggest,
};

use crate::STEPS;

/// What a built-in name of the source is called, because the table has a column of its own of that name.
const SOURCE: &str = "source.";

/// The feature of the position of a row in its file; `what` is what a row is made of.
pub fn row_index(what: &str) -> Feature {
    let about = format!("position of the {what}'s row in its file, from 0");
    Feature::new(STEP_INDEX, DType::Int64, Vec::new()).with_meta(meta::DESCRIPTION, about)
}

/// The name of a column of samples: one that the table has for itself is prefixed.
pub fn name_of_sample(name: &str) -> String {
    if StreamKind::Samples.has_built_in(name) { format!("{SOURCE}{name}") } else { name.to_owned() }
}

/// What the source calls what [`name_of_sample`] gave this name.
pub fn own_name_of_sample(name: &str) -> &str {
    name.strip_prefix(SOURCE).filter(|it| StreamKind::Samples.has_built_in(it)).unwrap_or(name)
}

/// The one stream of a source of samples.
pub fn samples_schema(features: Vec<Feature>) -> StreamSchema {
    StreamSchema {
        id: STEPS,
        name: STEPS_NAME.into(),
        kind: StreamKind::Samples,
        features,
        metadata: Default::default(),
    }
}

/// As [`check_dealt_field`], of columns of which some, and these alone, have one value that rows can be dealt by; `why` says what the
/// others are.
///
/// # Errors
/// `Config` when it is none of the former.
pub fn check_dealt_column<'a>(
    options: &OpenOptions,
    has: &str,
    why: &str,
    columns: impl Iterator<Item = (&'a str, bool)>,
) -> Result<()> {
    let (dealt, others): (Vec<_>, Vec<_>) = columns.partition(|it| it.1);
    let dealt = dealt.iter().map(|it| it.0);
    if let Some(RowDeal { key: RowKey::Field(name), .. }) = &options.deal
        && !dealt.clone().any(|it| it == name)
        && others.iter().any(|it| it.0 == name)
    {
        let message = format!("rows cannot be dealt by `{name}`: {why}");
        return Err(Error::new(ErrorKind::Config, message).with_hint(suggest(name, dealt)));
    }
    check_dealt_field(options, has, dealt)
}

/// Checks that the field that rows are dealt by is one of `names`; `has` says what has none else, as in `row has the field`.
///
/// # Errors
/// `Config` when it is not.
pub fn check_dealt_field<'a>(
    options: &OpenOptions,
    has: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<()> {
    let Some(RowDeal { key: RowKey::Field(name), .. }) = &options.deal else { return Ok(()) };
    if names.clone().any(|it| it == name) {
        return Ok(());
    }
    let message = format!("no {has} `{name}` that rows are dealt by");
    Err(Error::new(ErrorKind::Config, message).with_hint(suggest(name, names)))
}
