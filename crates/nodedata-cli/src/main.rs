//! The command `node-data`.

mod aligned;
mod args;
mod commands;
mod documents;
mod heap;
mod help;
mod human;
mod interrupt;
mod log;
mod message;
mod progress;
mod usage;

use std::process::ExitCode;

use nodedata_core::ErrorKind;

use crate::args::{Command, Output};

/// Counts the bytes on the heap, so that `report.json` can say how much memory a run took.
#[global_allocator]
static HEAP: heap::Heap = heap::Heap::new();

fn peak_heap() -> u64 {
    HEAP.peak()
}

/// How a command ended.
enum Outcome {
    /// Exit 0: everything was done.
    Complete,
    /// Exit 3: done, but something named was left out.
    Incomplete,
    /// Exit 2: a file of the user's is wrong; the command has said so.
    Mistaken,
    /// Exit 1: a check did not hold; the command has said so.
    Refused,
}

fn main() -> ExitCode {
    let arguments = match usage::arguments() {
        Ok(it) => it,
        Err(code) => return code,
    };
    let output = arguments.output;
    let result = log::start(arguments.verbose).and_then(|()| run(arguments.command, output));
    match result {
        Ok(Outcome::Complete) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::from(1),
        Ok(Outcome::Mistaken) => ExitCode::from(2),
        Ok(Outcome::Incomplete) => ExitCode::from(3),
        // One line for people: nothing is wrong.
        Err(err) if err.kind() == ErrorKind::Interrupted && output == Output::Text => {
            message::note(&format!("interrupted: {err}"));
            ExitCode::from(interrupt::exit_code())
        }
        Err(err) if err.kind() == ErrorKind::Interrupted => {
            message::print_error(&err, output);
            ExitCode::from(interrupt::exit_code())
        }
        Err(err) => {
            message::print_error(&err, output);
            ExitCode::from(if err.kind() == ErrorKind::Config { 2 } else { 1 })
        }
    }
}

fn run(command: Command, output: args::Output) -> nodedata_core::Result<Outcome> {
    match command {
        Command::Convert(args) => commands::convert::run(*args, output),
        Command::Plan(args) => commands::plan::plan(*args, output),
        Command::Work(args) => commands::plan::work(&args, output),
        Command::Finish(args) => commands::plan::finish(&args, output),
        Command::Inspect(args) => commands::inspect::run(&args, output),
        Command::Run(args) => commands::run::run(&args, output),
        Command::Init(args) => commands::init::run(&args, output),
        Command::Pipeline(command) => commands::pipeline::run(command, output),
        Command::Validate(args) => commands::validate::run(&args, output),
        Command::Schema(command) => commands::schema::run(command, output),
        Command::Explain(args) => commands::explain::run(&args, output),
        Command::Dataset(command) => commands::dataset::run(command, output),
        Command::Store(command) => commands::store::run(command, output),
        #[cfg(feature = "server")]
        Command::Serve(args) => commands::serve::run(&args, output),
        #[cfg(not(feature = "server"))]
        Command::Serve(_) => Err(commands::absent::absent("the server", "server")),
        #[cfg(feature = "remote")]
        Command::Login(args) => commands::login::login(&args, output),
        #[cfg(feature = "remote")]
        Command::Logout(args) => commands::login::logout(&args, output),
        #[cfg(feature = "remote")]
        Command::Whoami(args) => commands::login::whoami(&args, output),
        #[cfg(feature = "remote")]
        Command::Token(command) => commands::token::run(command, output),
        #[cfg(feature = "remote")]
        Command::Role(command) => commands::role::roles(command, output),
        #[cfg(feature = "remote")]
        Command::Group(command) => commands::role::groups(command, output),
        #[cfg(feature = "remote")]
        Command::Audit(command) => commands::audit_log::run(command, output),
        #[cfg(not(feature = "remote"))]
        Command::Login(_)
        | Command::Logout(_)
        | Command::Whoami(_)
        | Command::Token(_)
        | Command::Role(_)
        | Command::Group(_)
        | Command::Audit(_) => Err(commands::absent::absent("servers", "remote")),
        Command::Export(command) => commands::export::run(&command, output),
        Command::Formats => commands::formats::run(output),
        Command::Transforms => commands::transforms::run(output),
        Command::Completions { shell } => commands::shell::completions(shell, output),
        Command::Man(args) => commands::shell::man(&args, output),
    }
}
