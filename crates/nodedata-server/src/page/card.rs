use std::sync::Arc;

use nodedata_core::{
    human::{self, plural},
    visible::visible_markup_lines,
};
use nodedata_registry::{
    attach::epsilon_bounds,
    record::{DataClass, RevisionManifest, Visibility},
};

use crate::{
    app::App,
    call::Call,
    handlers::revisions::{Found, stats},
    page::{
        html::{Escaped, badge, page, time},
        markdown::to_html,
        push,
        schema::schema_tables,
        session::is_encrypted,
    },
    refusal::Answered,
    reply::Reply,
};

/// Card, schema and statistics of a revision.
pub(crate) fn card(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let reference = call.reference()?;
    let view = app.see(&call.principal, &reference.dataset)?;
    if view.state.revisions.is_empty() {
        let body =
            format!("<h1>{}</h1>\n<p>Nothing has been published yet.</p>\n", Escaped(&reference.dataset));
        return Ok(page(call, &reference.dataset.to_string(), &body));
    }
    let found = Found::of(app, call)?;
    let manifest = found.revision.manifest();
    let mut body = head(&found, manifest);
    push(
        &mut body,
        format_args!("<pre><code>{}</code></pre>\n", visible_markup_lines(&how_to_pull(app, call, &found))),
    );
    privacy(app, &found, &mut body);
    let schema = found.schema(app)?;
    let (stats, hidden) = match stats(app, call, &found) {
        Ok(stats) => (stats, None),
        Err(refusal) => (None, Some(refusal)),
    };
    schema_tables(&mut body, &schema, stats.as_ref(), hidden.as_ref());
    let readme = to_html(&found.text(app, &manifest.readme.blob)?);
    push(&mut body, format_args!("<section class=\"readme\">\n{readme}</section>\n"));
    Ok(page(call, &format!("{}@{}", reference.dataset, found.entry.revision), &body))
}

fn head(found: &Found, manifest: &RevisionManifest) -> String {
    let (state, entry) = (&found.view.state, &found.entry);
    let dataset = Escaped(&state.dataset);
    let mut html = format!("<h1>{dataset} <small>{}</small></h1>\n", Escaped(&entry.revision));
    if let Some(title) = &manifest.title {
        push(&mut html, format_args!("<p>{}</p>\n", Escaped(title)));
    }
    let mut badges = vec![badge("", manifest.license.as_deref().unwrap_or("no licence yet"))];
    if let Some(price) = &manifest.price {
        badges.push(badge("", format!("{} {}", price.amount, price.currency)));
    }
    badges.extend(manifest.modality.iter().map(|it| badge("", it)));
    let standing = found.standing();
    badges.push(badge("", format!("data class: {}", class_name(standing.sensitivity.class))));
    if standing.visibility == Visibility::Private {
        badges.push(badge("private", "private"));
    }
    if standing.needs_attestation() {
        badges.push(badge("gated", "gated: readers attest"));
    }
    push(&mut html, format_args!("<p>{}</p>\n", badges.concat()));
    if let Some(reason) = &entry.withdrawn {
        push(
            &mut html,
            format_args!("<p class=\"note\"><strong>Withdrawn</strong>: {}</p>\n", Escaped(reason)),
        );
    }
    let episodes: u64 = manifest.splits.values().fold(0, |sum, it| sum.saturating_add(it.episodes));
    let rows: u64 = manifest.splits.values().fold(0, |sum, it| sum.saturating_add(it.frames));
    push(
        &mut html,
        format_args!(
            "<p>{}, {}, {}, {}. Published {} by {}. <a href=\"/d/{dataset}/revisions\">All revisions</a></p>\n",
            plural(episodes, "episode"),
            plural(rows, "row"),
            plural(manifest.n_shards, "shard"),
            human::bytes(manifest.shard_bytes),
            time(&entry.at),
            Escaped(&entry.author),
        ),
    );
    html
}

/// Lines that work as they are, pasted into a shell.
fn how_to_pull(app: &App, call: &Call, found: &Found) -> String {
    let (state, revision) = (&found.view.state, &found.entry.revision);
    let store = server_url(app, call).map_or_else(String::new, |it| format!(" --store {it}"));
    let mut lines = String::new();
    let standing = found.standing();
    if standing.visibility == Visibility::Private || standing.needs_attestation() {
        lines.push_str(&format!("node-data login{store}\n"));
    }
    lines.push_str(&format!(
        "node-data dataset pull {}@{revision}{store} --out {}",
        state.dataset,
        state.dataset.name()
    ));
    lines
}

/// How whoever asks reaches this server. What a request says of it is taken where a shell would not take it for
/// anything but an address.
pub(super) fn server_url(app: &App, call: &Call) -> Option<String> {
    if let Some(url) = &app.options.public_url {
        return Some(url.clone());
    }
    let host = call.header("host").filter(|it| !it.is_empty())?;
    let is_plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b':');
    let scheme = if is_encrypted(app, &call.said.headers) { "https" } else { "http" };
    host.bytes().all(is_plain).then(|| format!("{scheme}://{host}"))
}

/// What is claimed about privacy: whole sentences, and the losses added up as the bound that they are.
fn privacy(app: &App, found: &Found, html: &mut String) {
    let reports = found.dp_reports(app);
    for report in &reports {
        push(
            html,
            format_args!(
                "<p class=\"note\"><strong>Differential privacy</strong>: {}</p>\n",
                Escaped(report.sentence())
            ),
        );
    }
    if reports.len() > 1 {
        for (unit, (epsilon, delta)) in epsilon_bounds(&reports) {
            push(
                html,
                format_args!(
                    "<p class=\"note\">All reports together, for {}: epsilon at most {epsilon}, delta at most {delta:e} (basic composition).</p>\n",
                    Escaped(unit)
                ),
            );
        }
    }
}

fn class_name(class: DataClass) -> &'static str {
    match class {
        DataClass::Undeclared => "undeclared",
        DataClass::None => "none",
        DataClass::Pseudonymous => "pseudonymous",
        DataClass::Identifying => "identifying",
        DataClass::Biometric => "biometric",
        DataClass::SpecialCategory => "special category",
    }
}
