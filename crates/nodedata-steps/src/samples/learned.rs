use nodedata_core::{Finding, FindingKind, InputFile, OpenOptions};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What a full pass over samples learned, as text: under which conditions, of which files and their stretches, and whatever the
/// format calls `what`. Whoever hands it back answers for the files being the same; that it was learned of files of these names
/// and lengths, and under the same conditions, is checked.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learned<C, S, W> {
    version: u32,
    /// The options that it depends on.
    conditions: C,
    files: Vec<LearnedFile<S>>,
    /// What it is.
    pub what: W,
    /// What the pass found wrong, put right, or wants the user to know.
    pub findings: Vec<Finding>,
}

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

impl<C, S, W> Learned<C, S, W>
where
    C: PartialEq + Serialize + DeserializeOwned,
    S: Clone + Serialize + DeserializeOwned,
    W: Serialize + DeserializeOwned,
{
    /// Of a version nothing is taken over by another. `stretches` are by input.
    pub fn new(
        version: u32,
        conditions: C,
        inputs: &[InputFile],
        stretches: impl IntoIterator<Item = Vec<S>>,
        what: W,
        findings: Vec<Finding>,
    ) -> Self {
        let file = |(input, stretches): (&InputFile, Vec<S>)| LearnedFile {
            path: input.path.display().to_string(),
            n_bytes: input.n_bytes,
            stretches,
        };
        let files = inputs.iter().zip(stretches).map(file).collect();
        Self { version, conditions, files, what, findings }
    }

    /// As text, from which [`Self::fitting`] makes it again.
    ///
    /// # Panics
    /// When its parts are none that JSON has, such as maps whose keys are no text: a mistake of the format.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and lists of them are JSON")
    }

    /// What was handed to an opening; `None` when there is nothing, or nothing that fits: then it is learned anew. `is_sound`
    /// says whether what was learned of a file is possible.
    pub fn fitting(
        options: &OpenOptions,
        version: u32,
        conditions: &C,
        inputs: &[InputFile],
        is_sound: impl Fn(&LearnedFile<S>) -> bool,
    ) -> Option<Self> {
        let learned: Self = serde_json::from_str(options.learned.as_deref()?).ok()?;
        let has_damage = learned.findings.iter().any(|it| it.kind == FindingKind::Damage);
        let same_file = |(file, input): (&LearnedFile<S>, &InputFile)| {
            *input.path.display().to_string() == file.path && input.n_bytes == file.n_bytes && is_sound(file)
        };
        let fits = learned.version == version
            && learned.conditions == *conditions
            // Damage that was left out once is not to be left out by whoever does not want that.
            && (options.salvage || !has_damage)
            && learned.files.len() == inputs.len()
            && learned.files.iter().zip(inputs).all(same_file);
        fits.then_some(learned)
    }

    /// The files, by input.
    pub fn files(&self) -> &[LearnedFile<S>] {
        &self.files
    }

    /// The stretches, by input.
    pub fn stretches(&self) -> Vec<Vec<S>> {
        self.files.iter().map(|it| it.stretches.clone()).collect()
    }
}
