pub(crate) mod convert;
pub(crate) mod explain;
pub(crate) mod formats;
pub(crate) mod inspect;
pub(crate) mod plan;
pub(crate) mod schema;
pub(crate) mod shell;
pub(crate) mod validate;
