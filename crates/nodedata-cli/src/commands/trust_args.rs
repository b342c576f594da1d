use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::commands::dataset_args::StoreArgs;

/// Trust in revisions, and access to gated datasets.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TrustCommand {
    /// Make an Ed25519 key pair that signs revisions.
    Keygen {
        /// Where: writes FILE (the secret, readable by you alone) and FILE.pub.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign a revision: attaches a DSSE envelope over its manifest's digest.
    Sign {
        /// The revision.
        #[arg(value_name = "REF")]
        reference: String,
        /// The secret key, PKCS #8 in PEM.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Check a revision from the log down: hashes, closure, provenance, signatures.
    Verify(VerifyArgs),
    /// Print the text that readers of a gated dataset agree to.
    Agreement {
        /// `owner/name`.
        #[arg(value_name = "DATASET")]
        dataset: String,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Agree to the text of a gated dataset and ask for access.
    Attest(AttestArgs),
    /// List requests for access: all for reviewers, your own otherwise.
    Attestations {
        /// `owner/name`.
        #[arg(value_name = "DATASET")]
        dataset: String,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Answer a request for access.
    Decide {
        /// `owner/name`.
        #[arg(value_name = "DATASET")]
        dataset: String,
        /// Name of the attestation.
        id: String,
        /// The answer.
        #[arg(value_enum)]
        answer: Answer,
        /// Why, for the history.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Print a server's audit log and check its chain.
    Audit {
        #[command(flatten)]
        store: StoreArgs,
    },
}

/// How a request for access is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Answer {
    /// Let them in.
    Grant,
    /// Say no.
    Deny,
    /// Take a grant back, at once.
    Revoke,
    /// Let them ask again.
    Reset,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyArgs {
    /// The revision.
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Public key that must have signed it. May be given several times: one of them is enough.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// Do not read the bytes: only whether every blob is there, as long as it should be.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Read this share of the bytes of each shard, from 0 (as `--quick`) to 1 (all, as without it), at least one grain of 256 KiB, and the
    /// other files whole. Rows are not hashed again.
    #[arg(long, value_name = "SHARE", conflicts_with = "quick")]
    pub(crate) sample: Option<f64>,
    /// Which part that is: one seed always draws the same bytes of a revision, another one others. 0 unless it is given.
    #[arg(long, value_name = "N", requires = "sample")]
    pub(crate) seed: Option<u64>,
    /// Run the recipe again on the sources and compare the shards' digests.
    #[arg(long, requires = "source")]
    pub(crate) rebuild: bool,
    /// What the revision was converted from: a file, a folder, a glob or a URL. May be given several times.
    #[arg(long, value_name = "SRC", requires = "rebuild")]
    pub(crate) source: Vec<String>,
    /// The message definitions that it was converted with, as `convert --msg-path` takes them. May be given several times.
    #[arg(long, value_name = "PATH", requires = "source")]
    pub(crate) msg_path: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AttestArgs {
    /// `owner/name`, or one revision of it.
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Digest of the text that you have read, as `node-data dataset agreement` tells it.
    #[arg(long, value_name = "b3:DIGEST")]
    pub(crate) agree: String,
    /// Your full name.
    #[arg(long)]
    pub(crate) name: String,
    /// For whom you work.
    #[arg(long)]
    pub(crate) org: Option<String>,
    /// Your country, ISO 3166.
    #[arg(long)]
    pub(crate) country: Option<String>,
    /// What you want the data for.
    #[arg(long)]
    pub(crate) purpose: String,
    /// The same in terms of the Data Use Ontology: `DUO:0000042`.
    #[arg(long, value_name = "DUO:…")]
    pub(crate) duo: Vec<String>,
    /// What you promise: `no-reidentification`, …
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) affirm: Vec<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
