//! Features with what was measured of them.

use nodedata_core::human::{count, plural};
use nodedata_schema::{FieldSchema, Fields, Schema};
use serde_json::Value;

use crate::{
    page::{
        html::{Escaped, moment},
        push,
    },
    refusal::Refusal,
};

/// More streams than this get a table of contents.
const STREAMS_WITHOUT_CONTENTS: usize = 3;
/// Elements of one feature that are shown.
const ELEMENTS_SHOWN: usize = 64;
/// Nanoseconds of 2000 and 2100: a time in nanoseconds between them is a moment, and not a duration.
const MOMENTS: std::ops::Range<i64> = 946_684_800_000_000_000..4_102_444_800_000_000_000;

/// The tables of a schema; `stats` is `stats.json`, and `hidden` says why it is not shown.
pub(super) fn schema_tables(
    html: &mut String,
    schema: &Schema,
    stats: Option<&Value>,
    hidden: Option<&Refusal>,
) {
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
    if schema.streams.len() > STREAMS_WITHOUT_CONTENTS {
        contents(html, schema);
    }
    if !schema.fields.is_empty() {
        fields_table(html, nodedata_core::STEPS, &schema.fields, stats);
    }
    for (idx, (stream, fields)) in schema.streams.iter().enumerate() {
        // Names of topics are no names of anchors.
        push(html, format_args!("<h3 id=\"stream-{idx}\"><code>{}</code></h3>\n", Escaped(stream)));
        fields_table(html, stream, fields, stats);
    }
}

fn contents(html: &mut String, schema: &Schema) {
    let n = plural(schema.streams.len() as u64, "stream");
    push(html, format_args!("<nav class=\"contents\" aria-label=\"Streams\">\n<p>{n}:</p>\n<ul>\n"));
    for (idx, (stream, fields)) in schema.streams.iter().enumerate() {
        let n = plural(fields.len() as u64, "feature");
        push(
            html,
            format_args!(
                "<li><a href=\"#stream-{idx}\"><code>{}</code></a> <small>{n}</small></li>\n",
                Escaped(stream)
            ),
        );
    }
    html.push_str("</ul>\n</nav>\n");
}

fn fields_table(html: &mut String, stream: &str, fields: &Fields, stats: Option<&Value>) {
    html.push_str("<table>\n<tr><th>feature</th><th>type</th><th>shape</th><th>unit</th><th class=\"number\">min</th><th class=\"number\">mean</th><th class=\"number\">max</th><th class=\"number\">nulls</th></tr>\n");
    for (name, field) in fields.iter() {
        let entry = stats.and_then(|it| it.get("streams")?.get(stream)?.get(name));
        let of =
            |what: &str| entry.and_then(|it| it.get(what)).map_or_else(String::new, |it| figure(it, field));
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
        if let Some(by_position) = entry.and_then(|it| it.get("per_element")) {
            elements(html, field, by_position);
        }
    }
    html.push_str("</table>\n");
}

/// What was measured of each element, under its name where it has one.
fn elements(html: &mut String, field: &FieldSchema, by_position: &Value) {
    let of = |what: &str| {
        let mut flat = Vec::new();
        flatten(by_position.get(what).unwrap_or(&Value::Null), &mut Vec::new(), &mut flat);
        flat
    };
    let (min, mean, max) = (of("min"), of("mean"), of("max"));
    if min.len() < 2 {
        return;
    }
    let n = plural(min.len() as u64, "element");
    push(
        html,
        format_args!("<tr class=\"elements\"><td colspan=\"8\"><details><summary>{n}</summary>\n<table>\n"),
    );
    html.push_str("<tr><th>element</th><th class=\"number\">min</th><th class=\"number\">mean</th><th class=\"number\">max</th></tr>\n");
    for (idx, (position, least)) in min.iter().enumerate().take(ELEMENTS_SHOWN) {
        let other = |all: &[(Vec<usize>, &Value)]| {
            all.iter().find(|it| it.0 == *position).map_or_else(String::new, |it| figure(it.1, field))
        };
        push(
            html,
            format_args!(
                "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\n",
                Escaped(element_name(field, position, idx, min.len())),
                figure(least, field),
                other(&mean),
                other(&max),
            ),
        );
    }
    html.push_str("</table>\n");
    if min.len() > ELEMENTS_SHOWN {
        let more = plural((min.len() - ELEMENTS_SHOWN) as u64, "element");
        push(html, format_args!("<p>{more} more: see <code>stats.json</code>.</p>\n"));
    }
    html.push_str("</details></td></tr>\n");
}

fn flatten<'a>(value: &'a Value, at: &mut Vec<usize>, into: &mut Vec<(Vec<usize>, &'a Value)>) {
    match value {
        Value::Array(items) => {
            for (idx, item) in items.iter().enumerate() {
                at.push(idx);
                flatten(item, at, into);
                at.pop();
            }
        }
        Value::Null => {}
        other => into.push((at.clone(), other)),
    }
}

/// Names are those of all elements, or of the last dimension.
fn element_name(field: &FieldSchema, position: &[usize], idx: usize, n_elements: usize) -> String {
    let names = field.names.as_deref().unwrap_or_default();
    let places = |it: &[usize]| it.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (last, before) = match position.split_last() {
        Some((last, before)) => (*last, before),
        None => return String::new(),
    };
    match (names.len() == n_elements, names.get(idx), names.get(last), before) {
        (true, Some(name), _, _) | (false, _, Some(name), []) => name.clone(),
        (false, _, Some(name), before) => format!("{name} [{}]", places(before)),
        _ => format!("[{}]", places(position)),
    }
}

/// A figure for people: moments as such, few digits.
fn figure(value: &Value, field: &FieldSchema) -> String {
    match value {
        Value::Number(number) => {
            let nanos = number.as_i64().or_else(|| number.as_f64().map(|it| it as i64));
            if field.unit.as_deref() == Some("ns")
                && let Some(at) = nanos.filter(|it| MOMENTS.contains(it))
            {
                return moment(at);
            }
            match (number.as_u64(), number.as_f64()) {
                (Some(whole), _) => count(whole),
                (None, Some(float)) if number.is_f64() => short(float),
                _ => number.to_string(),
            }
        }
        Value::String(text) => Escaped(text).to_string(),
        _ => String::new(),
    }
}

fn short(float: f64) -> String {
    let size = float.abs();
    if float == 0.0 || (1e-3..1e7).contains(&size) { format!("{float:.4}") } else { format!("{float:.4e}") }
}

#[cfg(test)]
mod tests {
    use nodedata_core::{DType, Dim};
    use serde_json::json;

    use super::*;

    fn field(unit: Option<&str>, names: Option<&[&str]>) -> FieldSchema {
        let mut field = FieldSchema::new(DType::Float64, vec![Dim::Fixed(2)]);
        field.unit = unit.map(str::to_owned);
        field.names = names.map(|it| it.iter().map(|it| (*it).to_owned()).collect());
        field
    }

    #[test]
    fn figures_are_for_people() {
        let plain = field(None, None);
        let shown = [json!(1_234_567), json!(-3), json!(0.25), json!(1.5e-9), json!(1.7e18), json!(null)]
            .map(|it| figure(&it, &plain));
        assert_eq!(shown, ["1,234,567", "-3", "0.2500", "1.5000e-9", "1.7000e18", ""]);
        let time = field(Some("ns"), None);
        let moments = [json!(1_700_000_000_000_000_000_i64), json!(1.700_000_000_995e18), json!(20_000_000)];
        assert_eq!(
            moments.map(|it| figure(&it, &time)),
            ["2023-11-14 22:13:20.000 UTC", "2023-11-14 22:13:20.995 UTC", "20,000,000"]
        );
    }

    #[test]
    fn elements_are_shown_under_their_names() {
        let of = |field: &FieldSchema, stats: Value| {
            let mut html = String::new();
            elements(&mut html, field, &stats);
            html
        };
        let one = json!({"min": [0.5, 1.5], "mean": [1.0, 2.0], "max": [2.0, 3.0]});
        let html = of(&field(None, Some(&["pan", "<tilt>"])), one.clone());
        assert!(html.contains("<td>pan</td><td class=\"number\">0.5000</td>"), "{html}");
        assert!(html.contains("<td>&lt;tilt&gt;</td>") && html.contains("<summary>2 elements</summary>"));
        assert!(of(&field(None, None), one).contains("<td>[1]</td>"));
        let two = json!({"min": [[1, 2], [3, 4]], "mean": [[1, 2], [3, 4]], "max": [[1, 2], [3, 4]]});
        assert!(
            of(&field(None, Some(&["x", "y"])), two).contains("<td>y [1]</td><td class=\"number\">4</td>")
        );
        let many: Vec<u32> = (0..100).collect();
        let html = of(&field(None, None), json!({"min": many, "mean": many, "max": many}));
        assert!(
            html.contains("<td>[63]</td>")
                && !html.contains("<td>[64]</td>")
                && html.contains("36 elements more")
        );
    }
}
