use nodedata_core::{Layout, Result};
use nodedata_message::{MessageDecoder, MessageSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Columns that a row may become; with more, it becomes one column of JSON text.
pub(crate) const LEAVES_MAX: usize = 4096;

/// What one place of all records holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Type {
    pub(crate) kind: Kind,
    /// Whether it is null or left out somewhere.
    pub(crate) nullable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Bool,
    Int64,
    UInt64,
    Float64,
    String,
    /// Anything, as JSON text.
    Json,
    List(Box<Type>),
    Object(Vec<Member>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) value: Type,
}

impl Type {
    /// Columns that it becomes.
    pub(crate) fn n_leaves(&self) -> usize {
        match &self.kind {
            Kind::List(item) => item.n_leaves(),
            Kind::Object(members) => members.iter().map(|it| it.value.n_leaves()).sum(),
            _ => 1,
        }
    }

    /// For each column, in order, the key of the record's own that it is the value of; `None` below one.
    pub(crate) fn own_keys(&self) -> Vec<Option<&str>> {
        let Kind::Object(members) = &self.kind else { return vec![None] };
        let of_member = |it: &'_ Member| match (&it.value.kind, it.value.n_leaves()) {
            (Kind::Object(_), n) => vec![None; n],
            (Kind::List(item), n) if matches!(item.innermost(), Kind::Object(_)) => vec![None; n],
            _ => vec![Some(())],
        };
        let keys = members
            .iter()
            .flat_map(|member| of_member(member).into_iter().map(|it| it.map(|()| member.key.as_str())));
        keys.collect()
    }

    fn innermost(&self) -> &Kind {
        match &self.kind {
            Kind::List(item) => item.innermost(),
            other => other,
        }
    }

    /// Compiles the decoder of records, by a JSON schema that allows what was seen and nothing else, and appends their
    /// columns to `layout`.
    ///
    /// # Errors
    /// `Limit` when it is more than a row may have.
    pub(crate) fn compile(&self, layout: &mut Layout) -> Result<MessageDecoder> {
        let mut text = String::new();
        self.write_schema(&mut text);
        let schema = MessageSchema {
            message_encoding: "json",
            schema_encoding: "jsonschema",
            schema_name: "",
            schema: text.as_bytes(),
        };
        MessageDecoder::compile(layout, &schema)
    }

    /// Written by hand because the order of properties is that of columns.
    fn write_schema(&self, out: &mut String) {
        let (name, more) = match &self.kind {
            Kind::Bool => ("boolean", ""),
            Kind::Int64 => ("integer", ""),
            Kind::UInt64 => ("integer", r#","minimum":0,"maximum":18446744073709551615"#),
            Kind::Float64 => ("number", ""),
            Kind::String => ("string", ""),
            // An object of which nothing is said may be anything to the decoder, and is JSON text.
            Kind::Json | Kind::Object(_) => ("object", ""),
            Kind::List(_) => ("array", ""),
        };
        let null = if self.nullable { r#","null""# } else { "" };
        out.push_str(&format!(r#"{{"type":["{name}"{null}]{more}"#));
        match &self.kind {
            Kind::List(item) => {
                out.push_str(r#","items":"#);
                item.write_schema(out);
            }
            Kind::Object(members) => {
                let required = members.iter().filter(|it| !it.value.nullable);
                let required: Vec<String> = required.map(|it| quoted(&it.key)).collect();
                out.push_str(&format!(
                    r#","additionalProperties":false,"required":[{}],"properties":{{"#,
                    required.join(",")
                ));
                for (idx, member) in members.iter().enumerate() {
                    out.push_str(if idx == 0 { "" } else { "," });
                    out.push_str(&quoted(&member.key));
                    out.push(':');
                    member.value.write_schema(out);
                }
                out.push('}');
            }
            _ => {}
        }
        out.push('}');
    }
}

fn quoted(key: &str) -> String {
    Value::from(key).to_string()
}
