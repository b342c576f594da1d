use nodedata_core::{
    Error,
    placed::{Mistake, mistakes_to_error},
};

/// Why no steps come of a source.
#[derive(Debug)]
pub enum Unfit {
    /// What is asked for does not fit the source: at least one mistake, each with its key.
    Mistakes(Vec<Mistake>),
    /// Something else.
    Error(Error),
}

impl From<Error> for Unfit {
    fn from(err: Error) -> Self {
        Self::Error(err)
    }
}

impl From<Unfit> for Error {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Mistakes(found) => mistakes_to_error(&found, None),
            Unfit::Error(err) => err,
        }
    }
}
