use std::path::Path;

use nodedata_core::{FindingKind, OpenOptions, Result, visible::visible};
use nodedata_dataset::DamageEntry;
use nodedata_pipeline::open_source;

use crate::{Outcome, args::Output, documents, human, message};

/// `node-data validate` on a source that is no dataset of ours: what its own pointers get wrong, found without
/// reading its rows. Exit 3 where the data puts right whatever is wrong, 1 where it cannot.
pub(crate) fn run(source: &Path, output: Output) -> Result<Outcome> {
    let options = OpenOptions { salvage: true, ..OpenOptions::default() };
    let opened = open_source(&nodedata_formats::builtin(), &[source.display().to_string()], None, &options)?;
    let plan = opened.source.plan();
    let entries = |kind| plan.findings_of(kind).map(DamageEntry::from).collect::<Vec<_>>();
    let (damage, repairs) = (entries(FindingKind::Damage), entries(FindingKind::Repair));
    let warnings = entries(FindingKind::Warning);
    let n_episodes = plan.episodes.len() as u64;
    let format = opened.format.name();
    let text = match output {
        Output::Json => documents::line(&documents::CheckedSource {
            format,
            episodes: n_episodes,
            damage: &damage,
            repairs: &repairs,
            warnings: &warnings,
            not_read: &opened.not_read,
        })?,
        Output::Text => {
            let mut text = human::not_read(&opened.not_read);
            for entry in repairs.iter().chain(&damage) {
                text.push_str(&told(&entry.reason, entry));
            }
            for entry in &warnings {
                text.push_str(&told("warning", entry));
            }
            let n_found = (repairs.len() + damage.len()) as u64;
            let verdict = match n_found {
                0 => "sound".to_owned(),
                n => format!("{} found", human::plural(n, "problem")),
            };
            text + &format!("{verdict}: {format}, {} usable\n", human::plural(n_episodes, "episode"))
        }
    };
    message::to_stdout(&text)?;
    Ok(match (damage.is_empty(), repairs.is_empty()) {
        (true, true) if opened.not_read.left_out == 0 => Outcome::Complete,
        (true, true) => Outcome::Incomplete,
        (true, false) => Outcome::Incomplete,
        (false, _) => Outcome::Refused,
    })
}

fn told(label: &str, entry: &DamageEntry) -> String {
    let mut text = format!("{label}: {}\n  --> {}\n", visible(&entry.message), visible(&entry.at));
    if let Some(hint) = &entry.hint {
        text.push_str(&format!("hint: {}\n", visible(hint)));
    }
    text
}
