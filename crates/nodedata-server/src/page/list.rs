use std::sync::Arc;

use nodedata_registry::{gate::needs_attestation, record::Visibility};

use crate::{
    app::App,
    call::Call,
    handlers::commits::{summary, visible},
    page::html::{Escaped, badge, page},
    refusal::Answered,
    reply::Reply,
};

/// The datasets.
pub(crate) fn home(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let mut rows = String::new();
    for view in visible(app, call)? {
        let it = summary(&view);
        let mut badges = match it.visibility {
            Visibility::Public => String::new(),
            Visibility::Private => badge("private", "private"),
        };
        if needs_attestation(it.visibility, &it.sensitivity) {
            badges.push_str(&badge("gated", "gated"));
        }
        let name = Escaped(&it.name);
        let latest = Escaped(it.latest.as_deref().unwrap_or("nothing published"));
        rows.push_str(&format!(
            "<tr><td><a href=\"/d/{name}\">{name}</a></td><td>{latest}</td><td class=\"number\">{}</td><td>{badges}</td></tr>\n",
            it.revisions
        ));
    }
    let body = if rows.is_empty() {
        "<h1>Datasets</h1>\n<p>There is nothing here that you may see.</p>\n".to_owned()
    } else {
        format!(
            "<h1>Datasets</h1>\n<table>\n<tr><th>name</th><th>newest</th><th class=\"number\">revisions</th><th></th></tr>\n{rows}</table>\n"
        )
    };
    Ok(page(call, "datasets", &body))
}
