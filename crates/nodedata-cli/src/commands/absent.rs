use nodedata_core::{Error, ErrorKind};

/// What a command says that was left out of this build.
pub(crate) fn absent(what: &str, feature: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("this build was made without {what}")).with_hint(format!(
        "build it with the feature `{feature}`, which is on by default: `cargo install --path crates/nodedata-cli`"
    ))
}
