pub(crate) mod convert;
pub(crate) mod formats;
pub(crate) mod shell;
