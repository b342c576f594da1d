//! Writes the bundle of ROS definitions: `bundle_definitions LAYOUTS OUT ARCHIVE[=vendor]…`. `cargo xtask gen` runs it.
//!
//! An archive is a `.tar.zst` of `pkg/msg/Name.msg`, `pkg/srv/Name.srv` and `pkg/action/Name.action`. The bundle is text:
//!
//! ```text
//! nodedata-definitions/1
//! distros foxy galactic …          oldest first
//! vendor px4_msgs …                packages of no distro
//! @ sensor_msgs/msg/Range iron..   from Iron on
//! std_msgs/Header header
//! ```
#![expect(clippy::print_stdout, reason = "a developer's command reports on stdout")]

use std::{collections::BTreeMap, error::Error, io::Read as _, path::Path};

use nodedata_ros::{Definitions, Dialect};

/// Oldest first. `rolling` is the last of them.
const DISTROS: [&str; 7] = ["foxy", "galactic", "humble", "iron", "jazzy", "kilted", "lyrical"];

/// Packages for tests alone, whose bags define their types themselves.
const LEFT_OUT: [&str; 3] = ["rosbag2_test_msgdefs", "rosbag2_performance_benchmarking_msgs", "test"];

/// What the bundle may take in the program.
const BYTES_MAX: usize = 200 << 10;

/// Definitions by type, each with the distros it is of (`FIRST..LAST`).
type Bundle = BTreeMap<String, Vec<(String, String)>>;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [layouts, out, archives @ ..] = &arguments[..] else {
        return Err("usage: bundle_definitions LAYOUTS OUT ARCHIVE[=vendor]…".into());
    };
    let mut bundle = layouts_of(&std::fs::read_to_string(layouts)?)?;
    let mut vendors: Vec<String> = Vec::new();
    for archive in archives {
        let (path, is_vendor) = match archive.strip_suffix("=vendor") {
            Some(path) => (path, true),
            None => (archive.as_str(), false),
        };
        for (name, text) in definitions_of(Path::new(path))? {
            let package = name.split('/').next().unwrap_or_default().to_owned();
            if is_vendor && !vendors.contains(&package) {
                vendors.push(package);
            }
            let known = bundle.entry(name.clone()).or_default();
            let range = rest_of(known).map_err(|err| format!("{name}: {err}"))?;
            known.push((range, text));
        }
    }
    vendors.sort();
    let text = render(&bundle, &vendors);
    let compressed = zstd::bulk::compress(text.as_bytes(), 19)?;
    if compressed.len() > BYTES_MAX {
        return Err(format!("{} bytes, more than {BYTES_MAX}", compressed.len()).into());
    }
    println!("{} types, {} bytes, {} compressed", bundle.len(), text.len(), compressed.len());
    if !std::fs::read(out).is_ok_and(|found| found == compressed) {
        std::fs::write(out, compressed)?;
        println!("wrote {out}");
    }
    Ok(())
}

fn layouts_of(text: &str) -> Result<Bundle> {
    let mut bundle = Bundle::new();
    let mut current: Option<String> = None;
    for line in text.lines().filter(|it| !it.starts_with('#')) {
        if let Some(heading) = line.strip_prefix("@ ") {
            let (name, range) = heading.split_once(' ').ok_or("a heading is `@ TYPE FIRST..LAST`")?;
            bundle.entry(name.to_owned()).or_default().push((range.to_owned(), String::new()));
            current = Some(name.to_owned());
            continue;
        }
        let entries = current.as_ref().and_then(|it| bundle.get_mut(it)).ok_or("a line before a heading")?;
        let (_, text) = entries.last_mut().ok_or("a line before a heading")?;
        text.push_str(&compact_line(line).unwrap_or_default());
        text.push('\n');
    }
    Ok(bundle)
}

/// The distros that none of these entries is of, which have to follow each other.
fn rest_of(known: &[(String, String)]) -> Result<String> {
    let mut left: Vec<&str> = DISTROS.to_vec();
    for (range, _) in known {
        let (first, last) = range.split_once("..").ok_or("a range is `FIRST..LAST`")?;
        let position = |name: &str| DISTROS.iter().position(|it| *it == name).ok_or(format!("{name}?"));
        let first = if first.is_empty() { 0 } else { position(first)? };
        let last = if last.is_empty() { DISTROS.len() - 1 } else { position(last)? };
        left.retain(|it| !DISTROS[first..=last].contains(it));
    }
    match (left.first(), left.last()) {
        _ if left.len() == DISTROS.len() => Ok("..".to_owned()),
        (Some(first), Some(last)) => {
            let first = if *first == DISTROS[0] { "" } else { *first };
            let last = if *last == DISTROS[DISTROS.len() - 1] { "" } else { *last };
            Ok(format!("{first}..{last}"))
        }
        _ => Err("the layouts leave no distro for the text of the archive".into()),
    }
}

/// The definitions of an archive, compact, by type.
fn definitions_of(path: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let packed = std::fs::read(path)?;
    let mut archive = tar::Archive::new(zstd::stream::read::Decoder::new(&packed[..])?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let Some((name, extension)) = path.trim_start_matches("./").rsplit_once('.') else { continue };
        let package = name.split('/').next().unwrap_or_default();
        if !matches!(extension, "msg" | "srv" | "action") || LEFT_OUT.contains(&package) {
            continue;
        }
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        let compact: String = text.lines().filter_map(compact_line).map(|it| it + "\n").collect();
        // Nothing that the parser would refuse goes into the bundle.
        let parsed =
            |text: &str| Definitions::from_msg(name, text, Dialect::Ros2).map_err(|err| err.to_string());
        let (before, after) = (parsed(&text)?, parsed(&compact)?);
        if format!("{before:?}") != format!("{after:?}") {
            return Err(format!("{name}: the compact definition is another one").into());
        }
        found.insert(name.to_owned(), compact);
    }
    Ok(found)
}

/// A line without comment and needless blanks; `None` where nothing is left.
fn compact_line(line: &str) -> Option<String> {
    let line = without_comment(line).trim();
    let (field_type, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim_start();
    let name_end = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_').unwrap_or(rest.len());
    let (name, value) = rest.split_at(name_end);
    let value = value.trim_start();
    let compact = match value.strip_prefix('=') {
        Some(value) => format!("{field_type} {name}={}", value.trim_start()),
        None => [field_type, name, value].join(" "),
    };
    let compact = compact.trim_end();
    (!compact.is_empty()).then(|| compact.to_owned())
}

/// What stands before the first `#` outside of quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (at, letter) in line.char_indices() {
        match (quote, letter) {
            (None, '#') => return &line[..at],
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            _ => {}
        }
    }
    line
}

fn render(bundle: &Bundle, vendors: &[String]) -> String {
    let mut text =
        format!("nodedata-definitions/1\ndistros {}\nvendor {}\n", DISTROS.join(" "), vendors.join(" "));
    for (name, entries) in bundle {
        for (range, definition) in entries {
            text.push_str(&format!("@ {name} {range}\n{definition}"));
        }
    }
    text
}
