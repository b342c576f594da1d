//! The commands of README.md and of the pages in `docs/`, run as they stand, in a copy of what the repository has for them.
//! A block that cannot be run says why, in a comment above it: `<!-- not run: needs a bucket -->`.

use std::{
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nodedata_testkit::corpus;
use tempfile::TempDir;

/// Blocks of commands that say why they are not run. A new one is counted here.
const NOT_RUN: usize = 17;

/// What blocks may be: commands; commands behind `$ `, with what they print; and what is no command.
const LANGUAGES: [&str; 7] = ["sh", "console", "text", "python", "yaml", "json", "rust"];

/// The port that pages use.
const PORT: &str = "127.0.0.1:8080";

struct Block {
    /// Line of the page, from 1.
    line: usize,
    commands: String,
    /// Why it is not run.
    not_run: Option<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// README.md, and the pages that lie in `docs/` itself.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    pages.extend(corpus::files(&root().join("docs"), ".md"));
    assert!(pages.len() > 3, "{pages:?}");
    pages
}

/// The blocks of commands of a page, and of what language each other block is.
fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    let mut above = "";
    while let Some((idx, line)) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            if !line.trim().is_empty() {
                above = line.trim();
            }
            continue;
        };
        if !LANGUAGES.contains(&language) {
            return Err(format!(
                "line {}: the block says `{language}`, which is none of {LANGUAGES:?}",
                idx + 1
            ));
        }
        let inside: Vec<&str> =
            lines.by_ref().map(|it| it.1).take_while(|it| !it.trim_start().starts_with("```")).collect();
        let not_run = above.strip_prefix("<!-- not run: ").and_then(|it| it.strip_suffix(" -->"));
        above = "";
        let commands = match language {
            "sh" => inside.join("\n"),
            "console" => typed(&inside),
            _ => continue,
        };
        blocks.push(Block { line: idx + 1, commands, not_run: not_run.map(str::to_owned) });
    }
    Ok(blocks)
}

/// What is typed in a session: lines behind `$ `, and those that go on after a `\`.
fn typed(lines: &[&str]) -> String {
    let mut typed = Vec::new();
    let mut goes_on = false;
    for line in lines {
        let command = if goes_on { Some(*line) } else { line.strip_prefix("$ ") };
        goes_on = command.is_some_and(|it| it.ends_with('\\'));
        typed.extend(command);
    }
    typed.join("\n")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::write(target, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// A folder like the repository, and before everything on the PATH the program that was built, and a `cargo` that builds
/// nothing.
fn scratch() -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["fixtures", "pipelines"] {
        copy(&root().join(name), &folder.path().join(name));
    }
    for name in ["bin", "target", "home"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let program = env!("CARGO_BIN_EXE_node-data");
    executable(&folder.path().join("bin/node-data"), &format!("exec '{program}' \"$@\"\n"));
    let cargo = "case \"$*\" in\n\
        'build --release -p nodedata-cli') ;;\n\
        'run --release -p nodedata-cli -- '*) shift 5; exec node-data \"$@\" ;;\n\
        'run --release -p nodedata-cli --no-default-features -- '*) shift 6; exec node-data \"$@\" ;;\n\
        *) echo \"no test runs: cargo $*\" >&2; exit 1 ;;\n\
        esac\n";
    executable(&folder.path().join("bin/cargo"), cargo);
    folder
}

fn executable(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}")).unwrap();
    let ran = Command::new("chmod").arg("+x").arg(path).status().unwrap();
    assert!(ran.success());
}

/// Runs blocks in one shell, so that what one sets the next one has.
fn run(page: &Path, blocks: &[&Block]) {
    let folder = scratch();
    let mut script = "set -e\n".to_owned();
    for block in blocks {
        script.push_str(&format!("echo '@ line {}' >&2\n{}\n", block.line, block.commands));
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    std::fs::write(folder.path().join("commands.sh"), script.replace(PORT, &port.to_string())).unwrap();
    let bin = folder.path().join("bin");
    let path = std::env::join_paths(
        std::iter::once(bin).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut command = Command::new("sh");
    command.arg("commands.sh").current_dir(folder.path()).env("PATH", path.unwrap());
    command.env("HOME", folder.path().join("home")).env("NO_COLOR", "1").env("USER", "tester");
    for name in [
        "NODEDATA_STORE",
        "NODEDATA_TOKEN",
        "NODEDATA_USER",
        "XDG_DATA_HOME",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "RUST_LOG",
    ] {
        command.env_remove(name);
    }
    // To files: a server that a page starts would hold pipes open.
    let output = |name: &str| std::fs::File::create(folder.path().join(name)).unwrap();
    command.stdout(output("stdout")).stderr(output("stderr")).process_group(0);
    let mut shell = command.spawn().unwrap();
    let ended = shell.wait().unwrap();
    // Whatever of its group still runs was started by the page.
    let group = format!("-{}", shell.id());
    drop(Command::new("kill").args(["--", &group]).stderr(Stdio::null()).status());
    let text =
        |name: &str| String::from_utf8_lossy(&std::fs::read(folder.path().join(name)).unwrap()).into_owned();
    assert!(
        ended.success(),
        "{}: {ended}; the last line that is named is that of the block\n--- stdout\n{}--- stderr\n{}",
        page.display(),
        text("stdout"),
        text("stderr"),
    );
}

#[test]
fn commands_of_the_pages_run() {
    let mut not_run = Vec::new();
    let mut n_run = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let found = blocks(&text).unwrap_or_else(|err| panic!("{}: {err}", page.display()));
        let name = page.file_name().unwrap().to_string_lossy();
        let exceptions =
            found.iter().filter_map(|it| Some(format!("{name}, line {}: {}", it.line, it.not_run.as_ref()?)));
        not_run.extend(exceptions);
        let to_run: Vec<&Block> = found.iter().filter(|it| it.not_run.is_none()).collect();
        n_run += to_run.len();
        if !to_run.is_empty() {
            run(&page, &to_run);
        }
    }
    assert_eq!(not_run.len(), NOT_RUN, "not run:\n{}", not_run.join("\n"));
    assert!(n_run >= 8, "{n_run} blocks were run");
}

/// Names of several words in backticks, as tests have them.
fn named_tests(page: &str) -> Vec<&str> {
    let is_name = |it: &&str| {
        it.matches('_').count() > 1
            && it.bytes().all(|it| it == b'_' || it.is_ascii_lowercase() || it.is_ascii_digit())
    };
    page.split('`').skip(1).step_by(2).filter(is_name).collect()
}

#[test]
fn tests_that_a_page_names_are_there() {
    let page = std::fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let folders =
        ["tests", "crates/nodedata-registry", "crates/nodedata-server/tests", "crates/nodedata-testkit/src"];
    let mut pending: Vec<PathBuf> = folders.iter().map(|it| root().join(it)).collect();
    let mut sources = String::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(path).unwrap().map(|it| it.unwrap().path()));
        } else if path.extension().is_some_and(|it| it == "rs" || it == "py") {
            sources.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    let named = named_tests(&page);
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        let is_there = ["fn", "def"].iter().any(|it| sources.contains(&format!("{it} {name}(")));
        assert!(is_there, "docs/reliability.md names `{name}`, which is no test");
    }
}

#[test]
fn blocks_are_read() {
    let text = "<!-- not run: needs a bucket -->\n```sh\nnode-data a\n```\n\n```console\n$ node-data b \\\n    --c\nprinted\n$ node-data d\n```\n```text\nx\n```\n";
    let found = blocks(text).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].line, found[0].not_run.as_deref()), (2, Some("needs a bucket")));
    assert_eq!(found[1].commands, "node-data b \\\n    --c\nnode-data d");
    assert!(found[1].not_run.is_none());
    assert!(blocks("```\nnode-data a\n```\n").is_err());
}
