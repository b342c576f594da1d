//! Whether the version and the paths that `info.json` tells are those of the files: converters and hands leave a
//! version behind that its files are not of.

use nodedata_core::{Locus, Result};
use nodedata_steps::Listing;

use crate::{
    findings::Findings,
    info::{Info, Version},
    layout::{APART, INFO, JOINED, is_episodes_table},
    template::Template,
};

/// Puts version and paths right where the files tell them.
///
/// # Errors
/// None that data can cause: the paths of the official writer are well-formed.
pub(crate) fn settle_version(info: &mut Info, listing: &Listing, findings: &mut Findings) -> Result<()> {
    let at = || Locus::path(listing.path(INFO));
    let fits = |it: &Template| listing.names().any(|name| it.read(name, "").is_some());
    if !fits(&info.data_path)
        && let Some((text, template)) = first_fitting([APART.data, JOINED.data], fits)?
    {
        let message = format!("no file lies where `data_path` says; the data files are called `{text}`");
        findings.repaired("wrong-data-path", message, at());
        info.data_path = template;
    }
    let told = info.version;
    let is_apart = if info.data_path.has_field("episode_index") {
        // With a table of version 3, rows say themselves whose they are, whatever their file is called.
        told.has_file_per_episode() || !listing.names().any(is_episodes_table)
    } else if info.data_path.has_field("file_index") {
        false
    } else {
        told.has_file_per_episode()
    };
    if is_apart != told.has_file_per_episode() {
        info.version = if is_apart { Version::V21 } else { Version::V30 };
        info.codebase_version = info.version.name().to_owned();
        let message = format!(
            "`codebase_version` is {}, but the files lie as those of {}; they are read so",
            told.name(),
            info.version.name()
        );
        findings.repaired("wrong-version", message, at());
    }
    settle_video_path(info, listing, findings)
}

fn settle_video_path(info: &mut Info, listing: &Listing, findings: &mut Findings) -> Result<()> {
    let fits =
        |it: &Template| info.video_keys().any(|key| listing.names().any(|name| it.read(name, key).is_some()));
    if info.video_path.as_ref().is_some_and(fits) {
        return Ok(());
    }
    let Some((text, template)) = first_fitting([APART.video, JOINED.video], fits)? else { return Ok(()) };
    let (code, message) = match &info.video_path {
        None => ("no-video-path", "there is no `video_path`"),
        Some(_) => ("wrong-video-path", "no video lies where `video_path` says"),
    };
    let message = format!("{message}; the videos are called `{text}`");
    findings.repaired(code, message, Locus::path(listing.path(INFO)));
    info.video_path = Some(template);
    Ok(())
}

/// The first of some paths that is that of any file.
fn first_fitting(
    paths: [&'static str; 2],
    fits: impl Fn(&Template) -> bool,
) -> Result<Option<(&'static str, Template)>> {
    for text in paths {
        let template = Template::parse(text)?;
        if fits(&template) {
            return Ok(Some((text, template)));
        }
    }
    Ok(None)
}
