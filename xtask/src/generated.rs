use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    json_reference,
    test_command::WHOLE_WORKSPACE,
    workspace::{self, Result},
};

/// A file that is written by `cargo xtask gen` and by nobody else.
struct GeneratedFile {
    /// Relative to the root.
    path: &'static str,
    render: fn() -> Result<String>,
}

const FILES: &[GeneratedFile] = &[
    GeneratedFile { path: "docs/reference/cli.md", render: command_reference },
    GeneratedFile { path: "docs/reference/pipeline.schema.json", render: pipeline_schema },
    GeneratedFile { path: "docs/reference/openapi.json", render: openapi },
    GeneratedFile { path: "docs/reference/json.md", render: json_page },
    GeneratedFile { path: "docs/reference/json.schema.json", render: json_reference::schema },
    GeneratedFile { path: PYTHON_PAGE, render: python_page },
];

/// The reference of the Python package.
const PYTHON_PAGE: &str = "docs/reference/python.md";

/// Width that help texts are wrapped to, whatever the terminal.
const HELP_COLUMNS: &str = "100";

/// Deepest nesting of subcommands; a guard against a program whose help never ends.
const DEPTH_MAX: usize = 4;

/// Writes every generated file, or with `check` compares.
///
/// # Errors
/// When a file cannot be rendered or written, or, with `check`, would change.
pub(crate) fn run(check: bool) -> Result<()> {
    bundle_definitions(check)?;
    build_node_data()?;
    let mut stale = Vec::new();
    for file in FILES {
        let rendered = (file.render)()?;
        let path = workspace::root().join(file.path);
        if std::fs::read_to_string(&path).is_ok_and(|found| found == rendered) {
            continue;
        }
        stale.push(file.path);
        if check {
            continue;
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|err| format!("cannot make a folder for {}: {err}", file.path))?;
        }
        std::fs::write(&path, rendered).map_err(|err| format!("cannot write {}: {err}", file.path))?;
        println!("wrote {}", file.path);
    }
    if check && !stale.is_empty() {
        return Err(format!("not up to date: {}; `cargo xtask gen` writes them", stale.join(", ")));
    }
    Ok(())
}

/// Writes the bundle of ROS definitions, or with `check` compares it. Where the archives that it is made of are not there, it
/// stays as it is.
fn bundle_definitions(check: bool) -> Result<()> {
    const BUNDLE: &str = "crates/nodedata-ros/src/store/definitions.zst";
    const LAYOUTS: &str = "crates/nodedata-ros/src/store/layouts.msg";
    let archives = workspace::root().join("../shared/corpora/logs/public");
    let [ros, vendor] = ["ros2_msgdefs.tar.zst", "vendor_msgdefs.tar.zst"].map(|it| archives.join(it));
    if !ros.is_file() || !vendor.is_file() {
        println!("left {BUNDLE} as it is: no definitions in {}", archives.display());
        return Ok(());
    }
    let committed = workspace::root().join(BUNDLE);
    let out = if check { workspace::target_dir().join("definitions.zst") } else { committed.clone() };
    let program = build_for_tests("--example", "bundle_definitions")?;
    let mut make = Command::new(program);
    make.arg(workspace::root().join(LAYOUTS)).arg(&out).arg(&ros).current_dir(workspace::root());
    let mut vendor = vendor.into_os_string();
    vendor.push("=vendor");
    workspace::run(make.arg(vendor))?;
    let bytes =
        |path: &Path| std::fs::read(path).map_err(|err| format!("cannot read {}: {err}", path.display()));
    if check && bytes(&out)? != bytes(&committed)? {
        return Err(format!("not up to date: {BUNDLE}; `cargo xtask gen` writes it"));
    }
    Ok(())
}

/// Builds the debug binary.
///
/// # Errors
/// When it does not compile.
pub(crate) fn build_node_data() -> Result<()> {
    build_for_tests("--bin", "node-data").map(drop)
}

/// Builds a debug program with the features the whole workspace agrees on, so that tests reuse what it is made of.
///
/// # Errors
/// When it does not compile.
fn build_for_tests(kind: &str, name: &str) -> Result<PathBuf> {
    let mut build = workspace::cargo(&["build", "--quiet"]);
    workspace::run(build.args(WHOLE_WORKSPACE).args([kind, name]))?;
    let folder = workspace::target_dir().join("debug");
    let folder = if kind == "--example" { folder.join("examples") } else { folder };
    Ok(folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

/// Builds the binary as it is shipped, for measuring.
///
/// # Errors
/// When it does not compile.
#[cfg(feature = "bench")]
pub(crate) fn build_optimised_node_data() -> Result<()> {
    workspace::run(&mut workspace::cargo(&["build", "--release", "--package", "nodedata-cli"]))
}

/// The JSON Schema of pipeline files, as the command prints it.
fn pipeline_schema() -> Result<String> {
    workspace::stdout_of(Command::new(workspace::node_data("debug")).args(["pipeline", "schema"]))
}

/// The description of the server's protocol, as the server itself tells it.
fn openapi() -> Result<String> {
    workspace::stdout_of(Command::new(workspace::node_data("debug")).args(["serve", "--openapi"]))
}

/// The documents that commands print as JSON, for people; how commands end is what the command itself says of it.
fn json_page() -> Result<String> {
    json_reference::page(&help_of(&[])?)
}

/// The reference of the Python package, made of its docstrings by a script. Where there is no Python, it stays as it is.
fn python_page() -> Result<String> {
    let page = workspace::root().join(PYTHON_PAGE);
    if !workspace::works(Command::new("python3").arg("--version")) {
        println!("left {PYTHON_PAGE} as it is: there is no `python3`");
        return std::fs::read_to_string(&page)
            .map_err(|err| format!("cannot read {}: {err}", page.display()));
    }
    let package = workspace::root().join("crates/nodedata-python");
    workspace::stdout_of(
        Command::new("python3")
            .arg(workspace::root().join("xtask/src/python_reference.py"))
            .arg(package.join("python/nodedata"))
            .arg(package.join("src/errors.py")),
    )
}

/// The help of the command and of each subcommand, as one page.
fn command_reference() -> Result<String> {
    let mut page = format!(
        "<!-- {}{} by `cargo xtask gen` from the command's own help. Do not edit. -->\n\n# `node-data` command reference\n",
        "@", "generated"
    );
    append_help(&mut page, &mut Vec::new())?;
    Ok(page)
}

fn append_help(page: &mut String, subcommand: &mut Vec<String>) -> Result<()> {
    let help = help_of(subcommand)?;
    let title = std::iter::once("node-data")
        .chain(subcommand.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(" ");
    page.push_str(&format!("\n## `{title}`\n\n```text\n"));
    for line in help.trim_end().lines() {
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page.push_str("```\n");
    if subcommand.len() == DEPTH_MAX {
        return Err(format!("`{title}` is nested deeper than {DEPTH_MAX}"));
    }
    for name in subcommands(&help) {
        subcommand.push(name);
        append_help(page, subcommand)?;
        subcommand.pop();
    }
    Ok(())
}

fn help_of(subcommand: &[String]) -> Result<String> {
    let mut command = Command::new(workspace::node_data("debug"));
    command.args(subcommand).arg("--help").env("COLUMNS", HELP_COLUMNS).env("NO_COLOR", "1");
    let help = workspace::stdout_of(&mut command)?;
    if help.trim().is_empty() {
        return Err(format!("`{}` prints nothing on stdout", workspace::shown(&command)));
    }
    Ok(help)
}

/// The names under `Commands:` in a help text, in its order.
fn subcommands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| line.trim_end() != "Commands:")
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        // Names stand two spaces in; deeper lines go on with a description.
        .filter_map(|line| line.strip_prefix("  ").filter(|it| !it.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subcommands_are_read_from_help() {
        let help = "Does things\n\nUsage: x [OPTIONS] <COMMAND>\n\nCommands:\n  convert  Convert a log into a dataset,\n           whole or in part\n  schema   Infer\n  help     Print this message\n\nOptions:\n  -h, --help  Print help\n";
        assert_eq!(subcommands(help), ["convert", "schema"]);
        assert_eq!(subcommands("Usage: x\n\nOptions:\n  -h, --help\n"), Vec::<String>::new());
    }
}
