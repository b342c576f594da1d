use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// List the formats this build reads.
    Formats,
    /// Print shell completions.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// Which part of a source is read.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArgs {
    /// A file, a folder, a glob in quotes (`'runs/**/*.mcap'`) or a URL (`s3://bucket/prefix`).
    #[arg(value_name = "SRC")]
    pub(crate) source: String,
    /// Format of SRC; detected from its content when absent.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) from: Option<String>,
    /// Read only these topics; `*` stands for any letters. May be given several times.
    #[arg(long = "topic", value_name = "TOPIC", help_heading = "Selection")]
    pub(crate) topics: Vec<String>,
    /// Keep the messages of these topics as bytes, with their schema beside them.
    #[arg(long, value_name = "TOPIC", help_heading = "Selection")]
    pub(crate) undecoded: Vec<String>,
    /// Read only records logged at or after this time: nanoseconds since 1970.
    #[arg(long, value_name = "NANOS", help_heading = "Selection", allow_negative_numbers = true)]
    pub(crate) start: Option<i64>,
    /// Read only records logged before this time: nanoseconds since 1970.
    #[arg(long, value_name = "NANOS", help_heading = "Selection", allow_negative_numbers = true)]
    pub(crate) end: Option<i64>,
    /// Do not verify the checksums of the source.
    #[arg(long, help_heading = "Selection")]
    pub(crate) no_verify: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Folder of the dataset. It appears in one step when everything is written.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Replace an existing dataset once the new one is complete.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Declared schema that every row must follow; inferred and written back when absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// Deal episodes to splits by the hash of their key, such as `train=0.9,val=0.1`.
    #[arg(long, value_name = "NAME=FRACTION,…")]
    pub(crate) split: Option<String>,
    /// What becomes of damaged input.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) on_error: OnErrorArg,
    /// Worker threads; all cores when absent. Has no effect on the bytes written.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Mebibytes of source one shard covers.
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) shard_mb: u32,
    /// How progress is shown on stderr.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub(crate) progress: ProgressArg,
}

/// What becomes of damaged input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum OnErrorArg {
    /// The first damage ends the run with exit 1; nothing is written.
    #[default]
    Fail,
    /// Everything sound is converted, what is lost is listed, and the exit code is 3.
    Salvage,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ProgressArg {
    /// A bar on a terminal, nothing in pipes.
    #[default]
    Auto,
    /// One JSON object a second.
    Json,
    /// Nothing.
    None,
}
