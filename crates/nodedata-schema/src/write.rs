use crate::{FieldSchema, Fields, Schema, TimeSchema, parse::VERSION};

impl Schema {
    /// The document: one line per field, keys in a fixed order, so that a change of one field is a change
    /// of one line. Ends with a line feed. The same schema gives the same bytes.
    pub fn to_json(&self) -> String {
        let Self { mode, splits, fields, streams, time } = self;
        let mut members = vec![format!("  \"nd\": {}", text(VERSION))];
        if let Some(mode) = mode {
            members.push(format!("  \"mode\": {}", text(mode.name())));
        }
        members.push(format!("  \"splits\": {}", texts(splits)));
        if !fields.is_empty() || streams.is_empty() {
            members.push(format!("  \"fields\": {}", fields_json(fields, 2)));
        }
        if !streams.is_empty() {
            let tables: Vec<String> = streams
                .iter()
                .map(|(name, fields)| {
                    format!("    {}: {{\n      \"fields\": {}\n    }}", text(name), fields_json(fields, 6))
                })
                .collect();
            members.push(format!("  \"streams\": {{\n{}\n  }}", tables.join(",\n")));
        }
        if let Some(time) = time {
            members.push(format!("  \"time\": {}", time_json(time)));
        }
        format!("{{\n{}\n}}\n", members.join(",\n"))
    }
}

fn fields_json(fields: &Fields, indent: usize) -> String {
    if fields.is_empty() {
        return "{}".to_owned();
    }
    let mut json = "{".to_owned();
    for (idx, (name, field)) in fields.iter().enumerate() {
        let comma = if idx == 0 { "" } else { "," };
        json.push_str(&format!("{comma}\n{:indent$}  {}: {}", "", text(name), field.to_json()));
    }
    json.push_str(&format!("\n{:indent$}}}", ""));
    json
}

impl FieldSchema {
    /// The field's description on one line.
    pub fn to_json(&self) -> String {
        let Self { dtype, shape: _, lists, encoding, rate_hz, unit, scale, names, min, max, .. } = self;
        let Self { finite, nullable, role, description, sensitive, .. } = self;
        let shape: Vec<String> = self.document_shape().iter().map(i64::to_string).collect();
        object(&[
            ("type", Some(text(dtype.name()))),
            ("shape", Some(format!("[{}]", shape.join(", ")))),
            ("lists", lists.map(|it| it.to_string())),
            ("encoding", encoding.as_deref().map(text)),
            ("rate_hz", rate_hz.map(|it| it.to_string())),
            ("unit", unit.as_deref().map(text)),
            ("scale", scale.map(|it| format!("{it:?}"))),
            ("names", names.as_deref().map(texts)),
            ("min", min.map(|it| it.to_string())),
            ("max", max.map(|it| it.to_string())),
            ("finite", finite.map(|it| it.to_string())),
            ("nullable", nullable.map(|it| it.to_string())),
            ("role", role.as_deref().map(text)),
            ("description", description.as_deref().map(text)),
            ("sensitive", (!sensitive.is_empty()).then(|| texts(sensitive))),
        ])
    }
}

fn time_json(time: &TimeSchema) -> String {
    let TimeSchema { field, unit, monotonic, fps, tolerance_ns } = time;
    object(&[
        ("field", field.as_deref().map(text)),
        ("unit", unit.as_deref().map(text)),
        ("monotonic", monotonic.map(|it| it.to_string())),
        ("fps", fps.map(|it| format!("{it:?}"))),
        ("tolerance_ns", tolerance_ns.map(|it| it.to_string())),
    ])
}

fn object(members: &[(&str, Option<String>)]) -> String {
    let members: Vec<String> =
        members.iter().filter_map(|(key, value)| Some(format!("\"{key}\": {}", value.as_ref()?))).collect();
    format!("{{{}}}", members.join(", "))
}

fn texts(all: &[String]) -> String {
    format!("[{}]", all.iter().map(|it| text(it)).collect::<Vec<_>>().join(", "))
}

fn text(text: &str) -> String {
    // Quotes and escapes.
    serde_json::Value::from(text).to_string()
}
