use nodedata_core::InputFile;
use serde::{Deserialize, Serialize};

/// A file that something was learned of: how it was called, how long it was, and its stretches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedFile<S> {
    path: String,
    /// How long it was.
    pub n_bytes: u64,
    /// What partitions read of it.
    pub stretches: Vec<S>,
}

impl<S> LearnedFile<S> {
    /// Each input with its stretches.
    pub fn all(inputs: &[InputFile], stretches: impl IntoIterator<Item = Vec<S>>) -> Vec<Self> {
        let file = |(input, stretches): (&InputFile, Vec<S>)| Self {
            path: input.path.display().to_string(),
            n_bytes: input.n_bytes,
            stretches,
        };
        inputs.iter().zip(stretches).map(file).collect()
    }
}

/// Whether files are those that something was learned of, as far as names and lengths tell, and what was learned of each is
/// possible.
pub fn are_of<S>(
    files: &[LearnedFile<S>],
    inputs: &[InputFile],
    is_sound: impl Fn(&LearnedFile<S>) -> bool,
) -> bool {
    let same_file = |(file, input): (&LearnedFile<S>, &InputFile)| {
        *input.path.display().to_string() == file.path && input.n_bytes == file.n_bytes && is_sound(file)
    };
    files.len() == inputs.len() && files.iter().zip(inputs).all(same_file)
}
