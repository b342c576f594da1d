use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use nodedata_client::Access;
use nodedata_registry::{AttachmentKind, DataClass, Visibility};

use crate::args::ProgressArg;

/// Which registry.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArgs {
    /// Registry: a folder, `s3://…`, `gs://…`, `az://…` or `http(s)://…`; the user's own when absent. A server is sent
    /// the token that `node-data login` keeps for it, or that of the variable NODEDATA_TOKEN.
    #[arg(long, value_name = "STORE", env = "NODEDATA_STORE", help_heading = "Registry")]
    pub(crate) store: Option<String>,
    /// Who does it; the user's name when absent. Also the owner of datasets that are named without one.
    #[arg(long = "as", value_name = "NAME", env = "NODEDATA_USER", help_heading = "Registry")]
    pub(crate) author: Option<String>,
}

/// What the flags say, beside which the variables have been read.
impl From<&StoreArgs> for Access {
    fn from(args: &StoreArgs) -> Self {
        Self { store: args.store.clone(), author: args.author.clone(), token: None }
    }
}

/// Publish datasets as immutable revisions, and fetch them.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum DatasetCommand {
    /// Create an empty dataset with its visibility, its data class and what is known of it.
    Create(Box<CreateArgs>),
    /// Publish shards, or a converted dataset, as a revision.
    Push(Box<PushArgs>),
    /// Fetch a revision to a folder, every byte verified.
    Pull(PullArgs),
    /// List the datasets of a registry.
    List {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Show a revision: licence, price, splits, features, sizes.
    Show(ShowArgs),
    /// List the revisions of a dataset, newest first.
    Log {
        /// `owner/name`.
        #[arg(value_name = "DATASET")]
        dataset: String,
        /// Every record, not only revisions.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Compare two revisions by the content of their episodes.
    Diff {
        /// The older: `owner/name@1.0.0`.
        #[arg(value_name = "REF")]
        old: String,
        /// The newer; `@1.1.0` is one of the same dataset.
        #[arg(value_name = "REF")]
        new: String,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Point a tag at a revision, or take it away.
    Tag {
        /// The revision, `owner/name@1.0.0`; with `--delete`, the dataset.
        #[arg(value_name = "REF")]
        reference: String,
        /// The tag.
        tag: String,
        /// Take the tag away.
        #[arg(long, conflicts_with = "force")]
        delete: bool,
        /// Point it at a revision that is withdrawn, too.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Attach a document to a revision.
    Attach {
        /// The revision.
        #[arg(value_name = "REF")]
        reference: String,
        /// The document.
        file: PathBuf,
        /// What it is.
        #[arg(long, value_parser = attachment_kind)]
        kind: AttachmentKind,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Say that a revision, or some of its episodes, are no longer to be used.
    Withdraw {
        /// The revision.
        #[arg(value_name = "REF")]
        reference: String,
        /// Leave out these episodes instead, by key: publishes a revision without moving data.
        #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
        episodes: Vec<String>,
        /// Why, for those who used it.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Change who may see a dataset, and its data class.
    Declare {
        /// `owner/name`.
        #[arg(value_name = "DATASET")]
        dataset: String,
        #[command(flatten)]
        class: ClassArgs,
        /// Why. Lowering what protects personal data needs it, and on a server the scope `steward`; it counts for
        /// later revisions only.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        store: StoreArgs,
    },
    #[command(flatten)]
    Removal(crate::commands::removal_args::RemovalCommand),
    #[command(flatten)]
    Trust(crate::commands::trust_args::TrustCommand),
}

fn attachment_kind(text: &str) -> Result<AttachmentKind, String> {
    AttachmentKind::from_name(text).ok_or_else(|| {
        nodedata_core::suggest(text, AttachmentKind::ALL.into_iter().map(AttachmentKind::name))
    })
}

/// Who may see a dataset, and what personal data it holds.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClassArgs {
    /// Who may see it; private when never said.
    #[arg(long, value_enum)]
    pub(crate) visibility: Option<VisibilityArg>,
    /// What personal data it holds; undeclared when never said, which keeps it private.
    #[arg(long, value_enum, value_name = "CLASS")]
    pub(crate) data_class: Option<ClassArg>,
    /// What of persons is recorded: `face`, `voice`, `location`, …
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) category: Vec<String>,
    /// Agreement that readers of a public dataset must accept.
    #[arg(long, value_name = "FILE")]
    pub(crate) agreement: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VisibilityArg {
    /// Only those who were let in.
    Private,
    /// Everybody, within the gate of its data class.
    Public,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClassArg {
    /// Nobody has said.
    Undeclared,
    /// No personal data.
    None,
    /// Persons, under other names.
    Pseudonymous,
    /// Persons can be told apart.
    Identifying,
    /// Faces, voices, gaits and the like.
    Biometric,
    /// Health, belief, origin and the like.
    SpecialCategory,
}

impl ClassArg {
    pub(crate) fn class(self) -> DataClass {
        match self {
            Self::Undeclared => DataClass::Undeclared,
            Self::None => DataClass::None,
            Self::Pseudonymous => DataClass::Pseudonymous,
            Self::Identifying => DataClass::Identifying,
            Self::Biometric => DataClass::Biometric,
            Self::SpecialCategory => DataClass::SpecialCategory,
        }
    }
}

impl VisibilityArg {
    pub(crate) fn visibility(self) -> Visibility {
        match self {
            Self::Private => Visibility::Private,
            Self::Public => Visibility::Public,
        }
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CreateArgs {
    /// `owner/name`.
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: String,
    /// Card of revisions that are pushed without one.
    #[arg(long, value_name = "FILE")]
    pub(crate) readme: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) facts: FactArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// What is said of a dataset. What is not said stays as it was said before: when it was created, or last published.
#[derive(Debug, Clone, Args)]
pub(crate) struct FactArgs {
    /// SPDX expression, such as `CC-BY-4.0`; case does not matter.
    #[arg(long, value_name = "SPDX", help_heading = "Facts")]
    pub(crate) license: Option<String>,
    /// Price of a copy: `199`, or `"199.50 EUR"`.
    #[arg(long, value_name = "AMOUNT", help_heading = "Facts")]
    pub(crate) price: Option<String>,
    /// What is recorded: `rgb,depth,proprioception,action`.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', help_heading = "Facts")]
    pub(crate) modality: Vec<String>,
    /// Words to find it by. May be given several times.
    #[arg(long = "tag", value_name = "WORD", help_heading = "Facts")]
    pub(crate) tags: Vec<String>,
    /// A line for people.
    #[arg(long, value_name = "TEXT", help_heading = "Facts")]
    pub(crate) title: Option<String>,
    /// What is known of the robot: `embodiment=franka_panda`. May be given several times.
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Facts")]
    pub(crate) robot: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PushArgs {
    /// Parquet shards, folders of them, or one folder of `node-data convert`. None: only facts change.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// `name` or `owner/name`; created when it is not there: private, data class undeclared.
    #[arg(long, value_name = "DATASET")]
    pub(crate) name: String,
    /// Add the shards to what is published, instead of replacing it.
    #[arg(long)]
    pub(crate) append: bool,
    /// Declared schema that every shard must follow; inferred and written back when absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// `sample_index.json` that says which rows are which episode; made when absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) sample_index: Option<PathBuf>,
    /// Dataset card; README.md of the folder when absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) readme: Option<PathBuf>,
    /// Read every row and decode every picture before anything is sent.
    #[arg(long)]
    pub(crate) deep: bool,
    /// Number of the revision: `auto`, `major`, `minor`, `patch` or `X.Y.Z`, never less than the content proves.
    #[arg(long, value_name = "BUMP", default_value = "auto")]
    pub(crate) bump: String,
    /// Leave out these episodes, by key; their rows stay where they are.
    #[arg(long, value_name = "KEY,…", value_delimiter = ',', help_heading = "Splits")]
    pub(crate) exclude: Vec<String>,
    /// Take these episodes in again.
    #[arg(long, value_name = "KEY,…", value_delimiter = ',', help_heading = "Splits")]
    pub(crate) include: Vec<String>,
    /// Count shards to another split: `val=train-0000[0-9].parquet` takes ten, `*` stands for any letters.
    #[arg(long, value_name = "SPLIT=SHARD", help_heading = "Splits")]
    pub(crate) assign: Vec<String>,
    /// A split that `--assign` makes; another name that the dataset does not have is a mistake. May be given several times.
    #[arg(long = "split", value_name = "NAME", help_heading = "Splits", requires = "assign")]
    pub(crate) new_splits: Vec<String>,
    /// Name of this push: one that is tried again under the same name is done once.
    #[arg(long, value_name = "ID")]
    pub(crate) op_id: Option<String>,
    /// Say what would be published and sent, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How progress is shown on stderr.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub(crate) progress: ProgressArg,
    #[command(flatten)]
    pub(crate) facts: FactArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PullArgs {
    /// `owner/name@1.2.0`, `@latest`, `@^1.2`, `@b3:…`, `@seq:7` or a tag.
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Folder of the dataset. It appears in one step when everything is there.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Replace an existing dataset once the new one is complete. What this tool did not write is never replaced.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// How progress is shown on stderr.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub(crate) progress: ProgressArg,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ShowArgs {
    /// `owner/name`, or one revision of it.
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// List the shards.
    #[arg(long)]
    pub(crate) shards: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
