use std::{fmt::Write as _, sync::Arc};

use nodedata_registry::{
    attach::epsilon_bounds,
    gate::needs_attestation,
    record::{DataClass, RevisionManifest, Visibility},
};
use nodedata_schema::{Fields, Schema};
use serde_json::Value;

use crate::{
    app::App,
    call::Call,
    handlers::revisions::{Found, stats},
    page::{
        html::{Escaped, badge, human_bytes, page},
        markdown::to_html,
    },
    refusal::{Answered, Refusal},
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
    badges.push(badge("", format!("data class: {}", class_name(state.sensitivity.class))));
    if state.visibility == Visibility::Private {
        badges.push(badge("private", "private"));
    }
    if needs_attestation(state.visibility, &state.sensitivity) {
        badges.push(badge("gated", "gated: readers attest"));
    }
    push(&mut html, format_args!("<p>{}</p>\n", badges.concat()));
    if let Some(reason) = &entry.withdrawn {
        push(
            &mut html,
            format_args!("<p class=\"note\"><strong>Withdrawn</strong>: {}</p>\n", Escaped(reason)),
        );
    }
    let episodes: u64 = manifest.splits.values().map(|it| it.episodes).sum();
    let rows: u64 = manifest.splits.values().map(|it| it.frames).sum();
    push(
        &mut html,
        format_args!(
            "<p>{episodes} episodes, {rows} rows, {} shards, {}. Published {} by {}. <a href=\"/d/{dataset}/revisions\">All revisions</a></p>\n<pre><code>node-data dataset pull {dataset}@{}</code></pre>\n",
            manifest.n_shards,
            human_bytes(manifest.shard_bytes),
            Escaped(&entry.at),
            Escaped(&entry.author),
            Escaped(&entry.revision),
        ),
    );
    html
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

fn schema_tables(html: &mut String, schema: &Schema, stats: Option<&Value>, hidden: Option<&Refusal>) {
    html.push_str("<h2>Schema</h2>\n");
    if let Some(refusal) = hidden {
        let (title, fix) = (&refusal.problem.title, refusal.problem.fix.as_deref().unwrap_or_default());
        push(
            html,
            format_args!(
                "<p class=\"note\">Statistics are shown to those who were let in: {}; {}.</p>\n",
                Escaped(title),
                Escaped(fix)
            ),
        );
    }
    if !schema.fields.is_empty() {
        fields_table(html, "steps", &schema.fields, stats);
    }
    for (stream, fields) in &schema.streams {
        push(html, format_args!("<h3><code>{}</code></h3>\n", Escaped(stream)));
        fields_table(html, stream, fields, stats);
    }
}

fn fields_table(html: &mut String, stream: &str, fields: &Fields, stats: Option<&Value>) {
    html.push_str("<table>\n<tr><th>feature</th><th>type</th><th>shape</th><th>unit</th><th class=\"number\">min</th><th class=\"number\">mean</th><th class=\"number\">max</th><th class=\"number\">nulls</th></tr>\n");
    for (name, field) in fields.iter() {
        let of = |what: &str| figure(stats, stream, name, what);
        let shape: Vec<String> = field.shape.iter().map(|it| it.as_i64().to_string()).collect();
        push(
            html,
            format_args!(
                "<tr><td><code>{}</code></td><td>{}</td><td>[{}]</td><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\n",
                Escaped(name),
                Escaped(field.dtype.name()),
                shape.join(", "),
                Escaped(field.unit.as_deref().unwrap_or_default()),
                of("min"),
                of("mean"),
                of("max"),
                of("null_count"),
            ),
        );
    }
    html.push_str("</table>\n");
}

/// One figure of `stats.json`; nothing where it has none. Figures per position are left to the file.
fn figure(stats: Option<&Value>, stream: &str, feature: &str, what: &str) -> String {
    let entry = stats.and_then(|it| it.get("streams")?.get(stream)?.get(feature));
    let found = entry.and_then(|it| it.get(what).or_else(|| it.get("all")?.get(what)));
    match found {
        Some(Value::Number(number)) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{float:.4}"),
            _ => number.to_string(),
        },
        Some(Value::String(text)) => Escaped(text).to_string(),
        _ => String::new(),
    }
}

fn push(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    html.write_fmt(text).unwrap_or_default();
}
