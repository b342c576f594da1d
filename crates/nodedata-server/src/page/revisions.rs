use std::sync::Arc;

use crate::{
    app::App,
    call::Call,
    page::html::{Escaped, badge, page, time},
    refusal::Answered,
    reply::Reply,
};

/// Revisions, newest first, each with what the comparison of contents proved when it was published.
pub(crate) fn revisions(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let view = app.see(&call.principal, &call.dataset()?)?;
    let state = &view.state;
    let name = Escaped(&state.dataset);
    let mut rows = String::new();
    for entry in state.revisions.iter().rev() {
        let tags = state.tags.iter().filter(|it| *it.1 == entry.revision);
        let mut badges: String = tags.map(|(tag, _)| badge("tag", tag)).collect();
        if let Some(reason) = &entry.withdrawn {
            badges.push_str(&badge("withdrawn", format!("withdrawn: {reason}")));
        }
        let proof = entry.bump.proof;
        rows.push_str(&format!(
            "<tr><td><a href=\"/d/{name}@{revision}\">{revision}</a> {badges}</td><td>{kind}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td><td>{}</td></tr>\n",
            proof.kept,
            proof.added,
            proof.changed,
            proof.removed,
            time(&entry.at),
            Escaped(&entry.author),
            revision = Escaped(&entry.revision),
            kind = Escaped(&entry.bump.kind),
        ));
    }
    let body = format!(
        "<h1><a href=\"/d/{name}\">{name}</a></h1>\n<p>Each revision was compared with the one before it, episode by episode, by the hash of what the episodes hold.</p>\n<table>\n<tr><th>revision</th><th>change</th><th class=\"number\">kept</th><th class=\"number\">added</th><th class=\"number\">changed</th><th class=\"number\">removed</th><th>published</th><th>by</th></tr>\n{rows}</table>\n"
    );
    Ok(page(call, &format!("{} revisions", state.dataset), &body))
}
