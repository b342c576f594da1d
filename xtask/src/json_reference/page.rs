//! The documents as a page.

use super::shapes::{Documents, Kind, Member, Shape, Shapes};
use crate::workspace::Result;

/// What stands above the list.
const INTRODUCTION: &str = include_str!("introduction.md");

/// Where the table of exit codes goes in the introduction.
const EXIT_CODES: &str = "{exit codes}";

/// The whole page.
pub(super) fn render(documents: &Documents, shapes: &Shapes, help: &str) -> Result<String> {
    let mut page = format!(
        "<!-- {}{} by `cargo xtask gen` from the types that are printed. Do not edit. -->\n\n",
        "@", "generated"
    );
    page.push_str(&INTRODUCTION.replace(EXIT_CODES, &exit_codes(help)?));
    page.push_str("\n## Documents\n");
    for document in documents {
        page.push_str(&format!("\n### `{}`\n\n{}. {}\n\n", document.name, document.by, document.shape.doc));
        table(&mut page, &document.shape);
    }
    page.push_str("\n## Shapes inside documents\n");
    for (name, shape) in &shapes.0 {
        page.push_str(&format!("\n### {name}\n\n{}\n\n", shape.doc));
        table(&mut page, shape);
    }
    Ok(page)
}

/// The lines under `Exit codes:` of the help, as a table.
fn exit_codes(help: &str) -> Result<String> {
    let lines = help.lines().skip_while(|it| *it != "Exit codes:").skip(1).take_while(|it| !it.is_empty());
    let rows: Vec<String> = lines
        .filter_map(|it| it.trim().split_once("  "))
        .map(|(code, means)| format!("| {code} | {} |", means.trim()))
        .collect();
    if rows.is_empty() {
        return Err("`node-data --help` does not say how commands end".to_owned());
    }
    Ok(format!("| code | means |\n| --- | --- |\n{}", rows.join("\n")))
}

fn table(page: &mut String, shape: &Shape) {
    if shape.members.is_empty() {
        return;
    }
    page.push_str("| member | value | what it is |\n| --- | --- | --- |\n");
    for Member { name, doc, kind, required } in &shape.members {
        let absent = if *required { "" } else { "; may be absent" };
        let doc = in_table(doc);
        page.push_str(format!("| `{name}` | {}{absent} | {doc} |", told(kind)).trim_end());
        page.push('\n');
    }
}

/// Words of a type's own documentation: what they link to is Rust's, and no line of a table holds a bar.
fn in_table(doc: &str) -> String {
    let mut text = String::new();
    let mut rest = doc;
    while let Some((before, after)) = rest.split_once("[`") {
        text.push_str(before);
        let Some((name, behind)) = after.split_once("`]") else {
            rest = after;
            continue;
        };
        let name = name.rsplit("::").next().unwrap_or(name);
        text.push_str(&format!("`{name}`"));
        rest = behind;
    }
    text.push_str(rest);
    text.replace('|', "\\|")
}

fn told(kind: &Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Integer => "integer".to_owned(),
        Kind::Number => "number".to_owned(),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Any => "any".to_owned(),
        Kind::OneOf(names) => {
            let names: Vec<String> = names.iter().map(|it| format!("`{it}`")).collect();
            names.join(", ")
        }
        Kind::Array(item) => format!("array of {}", told(item)),
        Kind::Tuple(parts) => format!("[{}]", parts.iter().map(told).collect::<Vec<_>>().join(", ")),
        Kind::Map(value) => format!("object of {}", told(value)),
        Kind::Nullable(inner) => format!("{}, or null", told(inner)),
        Kind::Shape(name) => format!("[{name}](#{})", name.to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_help() {
        let help = "Usage: x\n\nExit codes:\n  0  done\n  1  failed\n\nData goes\n";
        assert_eq!(
            exit_codes(help).expect("it says so"),
            "| code | means |\n| --- | --- |\n| 0 | done |\n| 1 | failed |"
        );
        assert!(exit_codes("Usage: x\n").is_err());
    }

    #[test]
    fn links_of_rust_are_names() {
        assert_eq!(in_table("See [`a::Files::stamp`]; a|b"), "See `stamp`; a\\|b");
    }
}
