use std::sync::Arc;

use nodedata_registry::{gate::needs_attestation, record::Visibility};

use crate::{
    app::App,
    call::Call,
    handlers::lists::query_of,
    page::html::{Escaped, badge, page},
    refusal::Answered,
    reply::Reply,
};

/// Datasets on a page.
const PAGE_DATASETS: usize = 100;

/// The datasets.
pub(crate) fn home(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let query = query_of(call, PAGE_DATASETS)?;
    let listed = app.listed(&query)?;
    let mut rows = String::new();
    for (it, _) in &listed.datasets {
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
    let words = query.words.as_deref().unwrap_or_default();
    let search = format!(
        "<form action=\"/\" role=\"search\"><input type=\"search\" name=\"q\" value=\"{}\" maxlength=\"256\" aria-label=\"Words to find\"><button>Search</button></form>\n",
        Escaped(words)
    );
    let table = match (rows.is_empty(), words.is_empty()) {
        (true, true) => "<p>There is nothing here that you may see.</p>\n".to_owned(),
        (true, false) => "<p>Nothing that you may see is found by these words.</p>\n".to_owned(),
        (false, _) => format!(
            "<table>\n<tr><th>name</th><th>newest</th><th class=\"number\">revisions</th><th></th></tr>\n{rows}</table>\n"
        ),
    };
    let next = listed.next.map_or_else(String::new, |next| further(call, &next));
    Ok(page(call, "datasets", &format!("<h1>Datasets</h1>\n{search}{table}{next}")))
}

/// A link to the next page of the same list.
fn further(call: &Call, next: &str) -> String {
    let said = call.said.query.iter().filter(|(name, _)| name.as_str() != "after");
    let mut address = url::form_urlencoded::Serializer::new(String::new());
    address.extend_pairs(said).append_pair("after", next);
    format!("<p><a rel=\"next\" href=\"/?{}\">More</a></p>\n", Escaped(address.finish()))
}
