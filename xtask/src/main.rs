//! The project's own commands: `cargo xtask test | tidy | gen | bench`.
#![expect(clippy::print_stdout, reason = "a developer's command reports on stdout")]

mod bench_command;
mod check_summary;
mod generated;
mod json_reference;
mod python_environment;
mod python_readers;
mod python_wheel;
mod test_command;
mod tidy;
mod workspace;

#[cfg(feature = "bench")]
mod bench;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything a change must pass: format, clippy, tidy, generated files, licences, tests, Python readers, the wheel.
    Test(test_command::Options),
    /// The project's own rules: edges between crates, file sizes and names, forbidden words, licences.
    Tidy,
    /// Write the generated files again.
    Gen {
        /// Write nothing; fail when a file would change.
        #[arg(long)]
        check: bool,
    },
    /// Time `node-data convert` against reference jobs in the same run.
    Bench(bench_command::Options),
    /// The measured jobs of `bench`; each runs in a process of its own.
    #[cfg(feature = "bench")]
    #[command(hide = true, subcommand)]
    BenchJob(bench::Job),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test(options) => return test_command::run(&options),
        Command::Tidy => tidy::run(),
        Command::Gen { check } => generated::run(check),
        Command::Bench(options) => bench_command::run(&options),
        #[cfg(feature = "bench")]
        Command::BenchJob(job) => bench::run_job(&job),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
