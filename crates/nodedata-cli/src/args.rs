use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use nodedata_core::{MediaEncoding, Moment, Reference};
use serde::{Deserialize, Serialize};

use crate::commands::dataset_args::StoreArgs;

/// Turn robot recordings into schema-checked Parquet datasets, with nothing lost and every origin provable.
#[derive(Debug, Parser)]
#[command(name = "node-data", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How reports and errors are printed.
    #[arg(long = "format", value_enum, default_value_t, global = true, help_heading = "Output")]
    pub(crate) output: Output,
    /// Tell on stderr what is opened, tried again, made or used again, and written to a store; `-vv` tells more. The
    /// variable `RUST_LOG` (`info`, `nodedata_io=debug,warn`) says it in detail. Secrets are never told.
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = "Output")]
    pub(crate) verbose: u8,
}

/// How reports and errors are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON document on stdout; errors as JSON on stderr.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Convert a recording, a folder of them, a glob or a URL to a dataset.
    Convert(Box<ConvertArgs>),
    /// Cut a conversion into units that workers on any number of machines can make.
    Plan(Box<PlanArgs>),
    /// Make one worker's share of a plan; what is finished already is left as it is.
    Work(WorkArgs),
    /// Put the units of a plan together, once workers have made all of them.
    Finish(FinishArgs),
    /// Say what is in a recording: streams, types, rates, gaps, episodes, sizes and damage.
    Inspect(InspectArgs),
    /// Run a pipeline file: source, steps, quality gate, splits and shards in one YAML file.
    Run(Box<RunArgs>),
    /// Propose a commented pipeline file for a source, from what it holds.
    Init(InitArgs),
    /// Check and test pipeline files.
    #[command(subcommand)]
    Pipeline(PipelineCommand),
    /// Check a dataset: hashes, ledger, provenance, schema, index; or the pointers of a source.
    Validate(ValidateArgs),
    /// Infer, check and compare schemas.
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Walk rows of a dataset back to file, topic and byte range.
    Explain(ExplainArgs),
    /// Publish datasets as immutable revisions, and fetch them.
    #[command(subcommand)]
    Dataset(crate::commands::dataset_args::DatasetCommand),
    /// Look after a store: a folder or a bucket.
    #[command(subcommand)]
    Store(crate::commands::store_args::StoreCommand),
    /// Serve a registry over HTTP: the protocol, and a page for people.
    Serve(Box<crate::commands::serve_args::ServeArgs>),
    /// Keep a token for a server, which every command that names the server then sends.
    ///
    /// Where the server lets people log in at an issuer, this names an address and a code for a browser on any machine, and waits
    /// until the login is allowed there. Elsewhere a token is asked for without showing it; operators make them with
    /// `node-data serve --new-token ACCOUNT`. Either is tried on the server, and kept in the user's configuration
    /// (`$XDG_CONFIG_HOME/nodedata/tokens`, or `~/.config/nodedata/tokens`), where its owner alone may read it. The variable
    /// NODEDATA_TOKEN, where it is set, goes before what is kept.
    Login(crate::commands::login_args::LoginArgs),
    /// Forget the token that is kept for a server.
    Logout(crate::commands::login_args::ServerArgs),
    /// Say whose token a server is sent, and what it opens.
    Whoami(crate::commands::login_args::ServerArgs),
    /// Make, list, rotate and take back the tokens of a server.
    #[command(subcommand)]
    Token(crate::commands::token_args::TokenCommand),
    /// Say who may do what on a server: roles of accounts and groups on owners and datasets.
    #[command(subcommand)]
    Role(crate::commands::role_args::RoleCommand),
    /// Groups of accounts, which have roles together.
    #[command(subcommand)]
    Group(crate::commands::role_args::GroupCommand),
    /// Export and verify the audit log of a server.
    #[command(subcommand)]
    Audit(crate::commands::audit_log_args::AuditCommand),
    /// Write a dataset as other tools want it.
    #[command(subcommand)]
    Export(crate::commands::export::ExportCommand),
    /// List the formats this build reads, and those it refuses by name.
    Formats,
    /// List what pipelines can do to the values of steps: names, arguments, formulas, examples.
    Transforms,
    /// Print shell completions.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print a page of the manual, or write all of them.
    Man(ManArgs),
}

/// Which pages of the manual.
#[derive(Debug, Clone, Args)]
pub(crate) struct ManArgs {
    /// The command whose page it is, such as `dataset push`; that of `node-data` when absent.
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    /// Write the pages of all commands to this folder, as `man1` of a system has them.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub(crate) dir: Option<PathBuf>,
}

/// Which part of a source is read.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(crate) struct SourceArgs {
    /// A file, a folder, a glob in quotes (`'runs/**/*.mcap'`) or a URL (`s3://bucket/prefix`, `https://host/a.mcap`). Several
    /// are read as one; all of them are of one format.
    #[arg(value_name = "SRC", required = true)]
    pub(crate) sources: Vec<String>,
    /// Format of SRC; detected from its content when absent.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) from: Option<String>,
    /// Read only these topics, or features of a step table; `*` stands for any letters, `?` for one, `[a-z]` for
    /// one of these. May be given several times.
    #[arg(long = "topic", value_name = "TOPIC", help_heading = "Selection")]
    pub(crate) topics: Vec<String>,
    /// Keep the messages of these topics as bytes, with their schema beside them.
    #[arg(long, value_name = "TOPIC", help_heading = "Selection")]
    pub(crate) undecoded: Vec<String>,
    /// Message definitions for topics whose recordings have none: a `.msg`, `.srv`, `.action` or `.idl` file, a folder, or a
    /// workspace with packages. May be given several times.
    #[arg(long, value_name = "PATH", help_heading = "Selection")]
    pub(crate) msg_path: Vec<PathBuf>,
    /// Read only records logged at or after this time: a date with its zone (`2026-06-11T09:30:00Z`), a number with its
    /// unit (`1700000000s`, `1700000000123ms`), whole nanoseconds since 1970, or an offset from the start of the
    /// recording (`+12.5s`, `+1m30s`).
    #[arg(long, value_name = "TIME", help_heading = "Selection", allow_negative_numbers = true)]
    pub(crate) start: Option<Moment>,
    /// Read only records logged before this time, written as for `--start`.
    #[arg(long, value_name = "TIME", help_heading = "Selection", allow_negative_numbers = true)]
    pub(crate) end: Option<Moment>,
    /// Decode the video of a camera and store its frames as `jpeg`, `png` or `raw`; CAMERA may be a pattern as in `--topic`. Of a log
    /// it is a topic of coded video, where steps are made (`--rate`, `--clock`). Without it coded samples pass through as they are.
    /// May be given several times.
    #[arg(long, value_name = "CAMERA=ENCODING", value_parser = decoding, help_heading = "Selection")]
    pub(crate) decode: Vec<(String, MediaEncoding)>,
    /// Put the picture, sound or video that a field refers to in the place of its text: FIELD=path where the text is the path of
    /// a file, relative to the file that names it, FIELD=base64 where it is the bytes. Below a field that is JSON text, such as
    /// content that is sometimes text and sometimes parts, the media are a list beside it. Without it the text stays. May be given
    /// several times, once for each FIELD.
    #[arg(long, value_name = "FIELD=HOW", value_parser = reference, help_heading = "Selection")]
    pub(crate) embed: Vec<(String, Reference)>,
    /// Do not verify the checksums of the source.
    #[arg(long, help_heading = "Selection")]
    pub(crate) no_verify: bool,
    /// Set an option of the source's format: `source.NAME=VALUE`; `node-data formats` lists them. Where SRC is a pipeline file,
    /// any of its keys. May be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Selection")]
    pub(crate) settings: Vec<String>,
}

/// Reads `observation.images.front=png`.
fn decoding(text: &str) -> Result<(String, MediaEncoding), String> {
    let (camera, name) = text.rsplit_once('=').ok_or("write it as `--decode CAMERA=png`")?;
    let encoding = MediaEncoding::from_name(name);
    let encoding = encoding.ok_or_else(|| format!("`{name}` is none of jpeg, png, raw"))?;
    Ok((camera.to_owned(), encoding))
}

/// Reads `messages.content.image=path`.
fn reference(text: &str) -> Result<(String, Reference), String> {
    let (field, name) = text.rsplit_once('=').ok_or("write it as `--embed FIELD=path`")?;
    let how = Reference::from_name(name).ok_or_else(|| format!("`{name}` is none of path, base64"))?;
    Ok((field.to_owned(), how))
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Folder of the dataset. It appears in one step when everything is written.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Replace an existing dataset once the new one is complete. What this tool did not write is never replaced.
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) steps: StepArgs,
    /// Declared schema that every row must follow; inferred and written back when absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// Deal episodes to splits by the hash of their key, such as `train=0.9,val=0.1`.
    #[arg(long, value_name = "NAME=FRACTION,…")]
    pub(crate) split: Option<String>,
    /// What becomes of damaged input.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) on_error: OnErrorArg,
    /// What becomes of sound messages that do not fit the columns of their topic.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) on_misfit: OnMisfitArg,
    /// Worker threads; all cores when absent. Has no effect on the bytes written.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Mebibytes of source one shard covers.
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) shard_mb: u32,
    /// What the pages of pictures, video, sound and other bytes are made for.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub(crate) access: AccessArg,
    /// How progress is shown on stderr.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub(crate) progress: ProgressArg,
}

/// Steps instead of a table per topic: every number and image, nearest in time. A pipeline file says more.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub(crate) struct StepArgs {
    /// Write steps at this rate, such as `30`, `29.97` or `30000/1001` a second, instead of a table per topic.
    #[arg(long, value_name = "HZ", help_heading = "Steps", group = "steps_of")]
    pub(crate) rate: Option<String>,
    /// Write one step per message of this topic instead of a table per topic.
    #[arg(long, value_name = "TOPIC", help_heading = "Steps", group = "steps_of")]
    pub(crate) clock: Option<String>,
    /// When messages happened: `log_time` (default), `publish_time`, or a field such as `header.stamp`.
    #[arg(long, value_name = "SOURCE", help_heading = "Steps", requires = "steps_of")]
    pub(crate) time: Option<String>,
    /// Milliseconds a message may be away from its step; farther ones leave a null. Ten periods of its topic when absent.
    #[arg(long, value_name = "MS", help_heading = "Steps", requires = "steps_of")]
    pub(crate) tolerance_ms: Option<u32>,
    /// Let `--rate` be finer than every topic: messages are repeated. Without it such a rate is refused.
    #[arg(long, help_heading = "Steps", requires = "rate")]
    #[serde(default)]
    pub(crate) upsample: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) convert: ConvertArgs,
    /// File to write the plan to. Workers need to see it, SRC and DIR under the same paths.
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WorkArgs {
    /// The plan that `node-data plan` wrote.
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: PathBuf,
    /// Which of the workers this one is, counted from 0.
    #[arg(long, value_name = "I")]
    pub(crate) index: usize,
    /// How many workers there are. Has no effect on the bytes written.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) of: u32,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct FinishArgs {
    /// The plan that `node-data plan` wrote.
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: PathBuf,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

/// What never changes the bytes written.
#[derive(Debug, Clone, Args)]
pub(crate) struct HowArgs {
    /// Worker threads; all cores when absent. Has no effect on the bytes written.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// How progress is shown on stderr.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub(crate) progress: ProgressArg,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// List the features of every stream.
    #[arg(long)]
    pub(crate) features: bool,
    /// Read every record, and so tell sizes, jitter, gaps, stamps and damage as well. Without it the index of a log that has one
    /// tells what is in it, unless the log is short.
    #[arg(long)]
    pub(crate) full: bool,
    /// How progress is shown on stderr.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub(crate) progress: ProgressArg,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ValidateArgs {
    /// Folder of the dataset, or a revision with its `@`, such as `owner/name@1.2.0`, which is read where it lies.
    /// What is there on disk goes first. Of a source, or the URL of one, its pointers are checked.
    #[arg(value_name = "DIR|REF")]
    pub(crate) dataset: PathBuf,
    /// Read every row as well: content hashes, declared limits, and every frame of images and video, and every FLAC
    /// and WAV clip, decoded.
    #[arg(long)]
    pub(crate) deep: bool,
    /// Quality rules to hold the rows against: the `quality` of this pipeline file. All of them warn when absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// Leave the quality rules out.
    #[arg(long, conflicts_with_all = ["rules", "report"])]
    pub(crate) no_quality: bool,
    /// Write what the rules found to a file: .json, .xml (JUnit) or .html. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Vec<PathBuf>,
    /// How progress is shown on stderr.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub(crate) progress: ProgressArg,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    /// The pipeline file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Folder of the dataset; `out` of the file when absent.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print what would be done: inputs, episodes, rates, features, shards, estimated bytes and time.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Set a key of the file, such as `shards.target_mb=128`. The value is YAML. May be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
    /// Replace an existing dataset once the new one is complete. What this tool did not write is never replaced.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Worker threads; all cores when absent. Has no effect on the bytes written.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Write what the quality gate found to a file: .json, .xml (JUnit) or .html. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Vec<PathBuf>,
    /// How progress is shown on stderr.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub(crate) progress: ProgressArg,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct InitArgs {
    /// A file, a folder, a glob in quotes or a URL. Several are read as one; all of them are of one format.
    #[arg(value_name = "SRC", required = true)]
    pub(crate) sources: Vec<String>,
    /// Format of SRC; detected from its content when absent.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) from: Option<String>,
    /// File to write, which names SRC from where it lies; standard output when absent, where a path of SRC is absolute
    /// because nobody knows where the text goes.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Replace the file if it exists and is a pipeline file.
    #[arg(long)]
    pub(crate) overwrite: bool,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum PipelineCommand {
    /// Run the `tests` of pipeline files; exit 1 when one fails. What is no pipeline, or has no tests, is skipped and named.
    Test {
        /// The pipeline files.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Read a pipeline file without its source and tell every mistake in it.
    Check {
        /// The pipeline file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Set a key of the file, such as `shards.target_mb=128`.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        settings: Vec<String>,
    },
    /// Print the JSON Schema of pipeline files, for editors.
    Schema,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ExplainArgs {
    /// A shard inside a dataset, the dataset's folder, or a revision with its `@`: `owner/name@1.2.0`, or a shard of
    /// it, `owner/name@1.2.0/PATH`. What is there on disk goes first.
    #[arg(value_name = "SHARD|DIR|REF")]
    pub(crate) target: PathBuf,
    /// One row: of the shard, or of `--episode` and `--stream`. Counts from 0.
    #[arg(long, value_name = "N")]
    pub(crate) row: Option<u64>,
    /// One episode of the dataset, by position.
    #[arg(long, value_name = "N")]
    pub(crate) episode: Option<u64>,
    /// One stream of the dataset, by name.
    #[arg(long, value_name = "NAME")]
    pub(crate) stream: Option<String>,
    /// Run the recipe again on SRC and compare the shards of these rows, as they lie there.
    #[arg(long, requires = "source")]
    pub(crate) rebuild: bool,
    /// What the dataset was converted from: a file, a folder, a glob or a URL. May be given several times. With `--row` of
    /// steps that are made of messages it tells, for every field, the topic, file, byte range and record it was made of.
    #[arg(long, value_name = "SRC")]
    pub(crate) source: Vec<String>,
    /// The message definitions that it was converted with, as `convert --msg-path` takes them. May be given several times.
    #[arg(long, value_name = "PATH", requires = "source")]
    pub(crate) msg_path: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Learn the schema of a source from all of its rows and print it.
    Infer {
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Hold all rows of a source against a schema; exit 1 when one breaks it.
    Check {
        #[command(flatten)]
        source: SourceArgs,
        /// The declared schema.
        #[arg(long, value_name = "FILE")]
        schema: PathBuf,
    },
    /// Compare two schemas: files, or those of datasets in folders or registries; exit 1 when what reads the older one
    /// cannot read the newer.
    Diff {
        /// The older one: a file, a dataset's folder, or a revision with its `@`, such as `owner/name@1.2.0`. What is
        /// there on disk goes first.
        #[arg(value_name = "FILE|DIR|REF")]
        old: PathBuf,
        /// The newer one.
        #[arg(value_name = "FILE|DIR|REF")]
        new: PathBuf,
        #[command(flatten)]
        store: StoreArgs,
    },
}

/// What becomes of damaged input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
pub(crate) enum OnErrorArg {
    /// The first damage ends the run with exit 1; nothing is written.
    #[default]
    Fail,
    /// Everything sound is converted, what is lost is listed, and the exit code is 3.
    Salvage,
}

/// What becomes of sound messages that do not fit the columns of their topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
pub(crate) enum OnMisfitArg {
    /// Each keeps its row, as bytes in `_unknown` or as text in `_extra`; they are listed, and the exit code is 3.
    #[default]
    Keep,
    /// The first one ends the run with exit 1; nothing is written.
    Fail,
}

/// What pages of media are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
pub(crate) enum AccessArg {
    /// Steps in any order: a page for each row.
    Random,
    /// Both: 8 rows a page.
    #[default]
    Balanced,
    /// Rows in their order: 64 a page.
    Scan,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
pub(crate) enum ProgressArg {
    /// A bar on a terminal, nothing in pipes.
    #[default]
    Auto,
    /// One JSON object a second.
    Json,
    /// Nothing.
    None,
}
