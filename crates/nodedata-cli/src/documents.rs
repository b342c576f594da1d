//! What commands print under `--format json`. Every document says first what it is and in which version:
//! `"document": "convert/1"`. `cargo xtask gen` reads the table below, and the types it names wherever they are
//! written down, and makes `docs/reference/json.md` and `json.schema.json` of them.

#![cfg_attr(
    not(all(feature = "remote", feature = "server")),
    allow(dead_code, unused_imports, reason = "documents of commands that were left out")
)]

mod dataset;
mod error;
mod program;
mod source;
mod store;
mod trust;

use nodedata_core::Result;
use nodedata_pipeline::{Inspection, Outline, Worked};
use nodedata_registry::{
    DatasetState, FsckReport, GcReport, HealReport, Probe, PullReport, PurgeReport, PushReport,
    record::CommitRecord,
};
use serde::Serialize;

use crate::message;

pub(crate) use self::{
    dataset::{DatasetLine, DatasetList, RecordLog, RevisionDiff, RevisionLog, ShownRevision},
    error::{Failure, FailureBody, Mistakes, USAGE},
    program::{
        Completions, FormatLine, FormatList, FormatOption, ManPage, ManPages, RefusedFormat,
        TransformArgument, TransformLine, TransformList,
    },
    source::{
        CheckedDataset, CheckedPipeline, CheckedSchema, CheckedSource, Conversion, Explained, PipelineTests,
        Planned, Proposal, Ran, SchemaDifference, SkippedFile, TestOfFile,
    },
    store::{
        AuditExport, AuditHeadTold, AuditVerified, BackupTold, GroupChange, Groups, HubExport, LoggedIn,
        LoggedOut, RoleChange, Roles, Serving, StoreMade, TokenMade, TokenRevoked, Tokens, Whoami,
    },
    trust::{Agreement, Attestations, AuditLog, KeyPair, Signed, Verified},
};

/// What a command prints: an object whose first member is [`Document::NAME`].
pub(crate) trait Document: Serialize {
    /// What it is, and the number of its shape: `convert/1`.
    const NAME: &'static str;
}

/// A line that says what prints it, the type, its name.
macro_rules! documents {
    ($($(#[doc = $by:literal])+ $document:ty => $name:literal,)+) => {
        $(impl Document for $document {
            const NAME: &'static str = $name;
        })+
    };
}

documents! {
    /// Any command that fails, on stderr
    Failure<'_> => "error/1",
    /// Commands that are given a pipeline file with mistakes, on stderr
    Mistakes<'_> => "mistakes/1",
    /// `convert`, `finish`
    Conversion<'_> => "convert/1",
    /// `plan`
    Planned<'_> => "plan/1",
    /// `work`
    Worked => "work/1",
    /// `inspect`
    Inspection => "inspect/1",
    /// `run`
    Ran<'_> => "run/1",
    /// `run --dry-run`
    Outline => "run-plan/1",
    /// `init`
    Proposal<'_> => "init/1",
    /// `pipeline test`
    PipelineTests<'_> => "pipeline-test/1",
    /// `pipeline check`
    CheckedPipeline => "pipeline-check/1",
    /// `validate` of a dataset
    CheckedDataset<'_> => "validate/1",
    /// `validate` of the folder of a source, or of its URL
    CheckedSource<'_> => "validate-source/1",
    /// `schema check`
    CheckedSchema<'_> => "schema-check/1",
    /// `schema diff`
    SchemaDifference<'_> => "schema-diff/1",
    /// `explain`
    Explained<'_> => "explain/1",
    /// `formats`
    FormatList => "formats/1",
    /// `transforms`
    TransformList => "transforms/1",
    /// `completions`
    Completions => "completions/1",
    /// `man`
    ManPages => "man/1",
    /// `dataset create`
    DatasetState => "dataset-create/1",
    /// `dataset push`, and `dataset withdraw --episodes`
    PushReport => "dataset-push/1",
    /// `dataset pull`
    PullReport => "dataset-pull/1",
    /// `dataset purge`
    PurgeReport => "dataset-purge/1",
    /// `dataset list`
    DatasetList<'_> => "dataset-list/1",
    /// `dataset show`
    ShownRevision<'_> => "dataset-show/1",
    /// `dataset log`
    RevisionLog<'_> => "dataset-log/1",
    /// `dataset log --all`
    RecordLog<'_> => "dataset-records/1",
    /// `dataset diff`
    RevisionDiff<'_> => "dataset-diff/1",
    /// `dataset tag`, `attach`, `withdraw`, `declare`
    CommitRecord => "dataset-record/1",
    /// `dataset keygen`
    KeyPair<'_> => "dataset-keygen/1",
    /// `dataset sign`
    Signed<'_> => "dataset-sign/1",
    /// `dataset verify`
    Verified<'_> => "dataset-verify/1",
    /// `dataset agreement`
    Agreement<'_> => "dataset-agreement/1",
    /// `dataset attest`, `attestations`, `decide`
    Attestations<'_> => "dataset-attestations/1",
    /// `dataset audit`
    AuditLog => "dataset-audit/1",
    /// `store init`
    StoreMade<'_> => "store-init/1",
    /// `store check`
    Probe => "store-check/1",
    /// `store fsck`
    FsckReport => "store-fsck/1",
    /// `store gc`
    GcReport => "store-gc/1",
    /// `store heal`
    HealReport => "store-heal/1",
    /// `serve`, once it listens
    Serving<'_> => "serve/1",
    /// `serve --new-token`, `token create`, `token rotate`
    TokenMade<'_> => "serve-token/1",
    /// `serve backup`, `serve restore`
    BackupTold<'_> => "serve-backup/1",
    /// `token list`
    Tokens<'_> => "token-list/1",
    /// `token revoke`
    TokenRevoked<'_> => "token-revoke/1",
    /// `role list`
    Roles<'_> => "role-list/1",
    /// `role give`, `role take`
    RoleChange<'_> => "role-change/1",
    /// `group list`
    Groups<'_> => "group-list/1",
    /// `group add`, `group remove`
    GroupChange<'_> => "group-change/1",
    /// `audit export`
    AuditExport<'_> => "audit-export/1",
    /// `audit head`
    AuditHeadTold<'_> => "audit-head/1",
    /// `audit verify`
    AuditVerified => "audit-verify/1",
    /// `login`
    LoggedIn<'_> => "login/1",
    /// `logout`
    LoggedOut<'_> => "logout/1",
    /// `whoami`
    Whoami<'_> => "whoami/1",
    /// `export hf`
    HubExport<'_> => "export-hf/1",
}

#[derive(Serialize)]
struct Named<'a, T> {
    document: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

/// A document as one line.
///
/// # Errors
/// `Io` when the document cannot be written as JSON.
pub(crate) fn line<T: Document>(body: &T) -> Result<String> {
    message::json_line(&Named { document: T::NAME, body })
}
