use std::path::Path;

use clap::Command;
use nodedata_core::{Error, ErrorKind, Locus, Result, suggest};
use nodedata_io::{Writing, io_error, write_file};

use crate::{
    Outcome,
    args::{ManArgs, Output},
    documents::{self, Completions, ManPage, ManPages},
    help, message,
};

/// `node-data completions`.
pub(crate) fn completions(shell: clap_complete::Shell, output: Output) -> Result<Outcome> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut help::command(), "node-data", &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    message::to_stdout(&match output {
        Output::Json => documents::line(&Completions { shell: shell.to_string(), text })?,
        Output::Text => text,
    })?;
    Ok(Outcome::Complete)
}

/// `node-data man`.
pub(crate) fn man(args: &ManArgs, output: Output) -> Result<Outcome> {
    let mut root = help::command().disable_help_subcommand(true);
    // So that each command knows its whole name and the arguments that all take.
    root.build();
    let pages = match &args.dir {
        Some(dir) => {
            let mut pages = Vec::new();
            all(&root, &mut pages)?;
            write(&pages, dir)?;
            pages.into_iter().map(|it| ManPage { text: None, ..it }).collect()
        }
        None => vec![page(command_of(&root, &args.command)?)?],
    };
    let text = match (output, &args.dir) {
        (Output::Json, dir) => documents::line(&ManPages { dir: dir.clone(), pages })?,
        (Output::Text, None) => pages.into_iter().filter_map(|it| it.text).collect(),
        (Output::Text, Some(dir)) => format!("{} pages in {}\n", pages.len(), dir.display()),
    };
    message::to_stdout(&text)?;
    Ok(Outcome::Complete)
}

fn all(command: &Command, pages: &mut Vec<ManPage>) -> Result<()> {
    pages.push(page(command)?);
    command.get_subcommands().try_for_each(|it| all(it, pages))
}

fn page(command: &Command) -> Result<ManPage> {
    let man = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    man.render(&mut text)?;
    let mut text = String::from_utf8_lossy(&text).into_owned();
    // What stands after the arguments has no heading of its own there.
    for (title, section) in
        [("Exit codes:", "EXIT STATUS"), ("Examples:", "EXAMPLES"), ("Example:", "EXAMPLES")]
    {
        text = text.replace(&format!(".SH EXTRA\n{title}\n"), &format!(".SH {section}\n"));
    }
    Ok(ManPage { name: man.get_filename(), text: Some(text) })
}

/// The command of these words.
fn command_of<'a>(root: &'a Command, words: &[String]) -> Result<&'a Command> {
    let mut command = root;
    for word in words {
        command = command.find_subcommand(word).ok_or_else(|| {
            let hint = suggest(word, command.get_subcommands().map(Command::get_name));
            let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
            Error::new(ErrorKind::Config, format!("`{name}` has no command `{word}`")).with_hint(hint)
        })?;
    }
    Ok(command)
}

/// Writes pages into a folder, in place of those that this command wrote before.
fn write(pages: &[ManPage], dir: &Path) -> Result<()> {
    let path_of = |it: &ManPage| dir.join(&it.name);
    for path in pages.iter().map(path_of).filter(|it| it.exists()) {
        let is_ours = std::fs::read(&path).is_ok_and(|it| {
            String::from_utf8_lossy(&it).lines().any(|line| line.starts_with(".TH node-data"))
        });
        if !is_ours {
            return Err(Error::new(ErrorKind::Config, "the file is no page of this manual")
                .at(Locus::path(path))
                .with_hint("name another folder with `--dir`"));
        }
    }
    std::fs::create_dir_all(dir).map_err(|err| io_error("cannot make the folder", dir, err))?;
    for page in pages {
        write_file(&path_of(page), page.text.as_deref().unwrap_or_default().as_bytes(), Writing::Replace)?;
    }
    Ok(())
}
