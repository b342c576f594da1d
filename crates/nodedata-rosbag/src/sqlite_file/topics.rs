use std::collections::BTreeMap;

use nodedata_core::{Error, Locus, Result};
use nodedata_log::{ChannelRecord, LogFacts, SchemaRecord, corrupt};

use crate::{
    recording::SERIALIZED_METADATA,
    sqlite::{
        database::Database,
        page::PageSet,
        schema::{OnDamage, Table},
    },
};

/// What the small tables of a bag say, by its schema: 1 has topics alone, 4 all of it.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    topics: Vec<Topic>,
    /// By the type that they are of.
    definitions: BTreeMap<String, Definition>,
    schema_version: Option<i64>,
    ros_distro: Option<String>,
    /// Metadata of the bag as the recorder knew it when it closed the file.
    metadata: Option<String>,
}

#[derive(Debug)]
struct Topic {
    id: u32,
    name: String,
    type_name: String,
    serialization_format: String,
    offered_qos_profiles: Option<String>,
    type_hash: Option<String>,
    place: Locus,
}

#[derive(Debug)]
struct Definition {
    encoding: String,
    text: String,
    type_hash: Option<String>,
}

/// Reads all tables but that of the messages.
///
/// # Errors
/// What `on_damage` returns; `Io`.
pub(crate) fn read<'t>(
    database: &Database,
    topics: &Table,
    by_name: impl Fn(&str) -> Option<&'t Table>,
    limit: u64,
    reached: &mut PageSet,
    on_damage: OnDamage<'_>,
) -> Result<Declared> {
    let mut declared = Declared::default();
    let said = |it: Option<String>| it.filter(|it| !it.is_empty());
    database.rows(topics, limit, reached, on_damage, |row| {
        let id = row.int("id").unwrap_or(row.rowid);
        let id_of_channel = u32::try_from(id).ok().filter(|it| *it != u32::MAX);
        let text = |column: &str| {
            let message = format!("topic {id} has no `{column}` that is a text");
            row.text(column).ok_or_else(|| corrupt(message).at(row.place.clone()))
        };
        let Some(id) = id_of_channel else {
            let message = format!("topic has the number {id}, which no recorder gives");
            return Err(corrupt(message).at(row.place.clone()));
        };
        declared.topics.push(Topic {
            id,
            name: text("name")?,
            type_name: normal_name(&text("type")?),
            serialization_format: text("serialization_format")?,
            offered_qos_profiles: said(row.text("offered_qos_profiles")),
            type_hash: said(row.text("type_description_hash")),
            place: row.place.clone(),
        });
        Ok(())
    })?;
    if let Some(table) = by_name("message_definitions") {
        database.rows(table, limit, reached, on_damage, |row| {
            let told = row.text("topic_type").zip(row.text("encoding"));
            let told = told.zip(row.text("encoded_message_definition"));
            let Some(((of, encoding), text)) = told else {
                return Err(corrupt("definition has no type, or no text").at(row.place.clone()));
            };
            let definition =
                Definition { encoding, text, type_hash: said(row.text("type_description_hash")) };
            // Of several the last is what the recorder knew at the end.
            declared.definitions.insert(normal_name(&of), definition);
            Ok(())
        })?;
    }
    if let Some(table) = by_name("schema") {
        database.rows(table, limit, reached, on_damage, |row| {
            declared.schema_version = row.int("schema_version");
            declared.ros_distro = said(row.text("ros_distro"));
            Ok(())
        })?;
    }
    if let Some(table) = by_name("metadata") {
        database.rows(table, limit, reached, on_damage, |row| {
            declared.metadata = row.text("metadata").or(declared.metadata.take());
            Ok(())
        })?;
    }
    Ok(declared)
}

impl Declared {
    /// Makes channels and schemas of it; returns what contradicts itself.
    pub(crate) fn add_to(self, facts: &mut LogFacts) -> Vec<Error> {
        let mut contradictions = Vec::new();
        for topic in &self.topics {
            let Topic { id, name, type_name, serialization_format, place, .. } = topic;
            let found = self.definition(type_name);
            // Where there is none, the name of the type is what a definition can be looked for with.
            let (encoding, data) = found.map_or(("ros2msg", ""), |it| (&it.encoding, &it.text));
            let schema = SchemaRecord { id: *id, name: type_name, encoding, data: data.as_bytes() };
            let qos = topic.offered_qos_profiles.as_ref();
            let type_hash = topic.type_hash.as_ref().or(found.and_then(|it| it.type_hash.as_ref()));
            let told = [("offered_qos_profiles", qos), ("topic_type_hash", type_hash)];
            let metadata: Vec<(&str, &str)> =
                told.iter().filter_map(|(key, value)| Some((*key, value.as_ref()?.as_str()))).collect();
            let (schema_id, message_encoding) = (Some(*id), serialization_format.as_str());
            let channel =
                ChannelRecord { id: *id, schema_id, topic: name, message_encoding, metadata: &metadata };
            // Rows have numbers of their own; only damage gives one twice.
            let added = facts.definitions.add_schema(&schema, (0, 0));
            let added = added.and_then(|()| facts.definitions.add_channel(&channel, (0, 0)));
            contradictions.extend(added.err().map(|it| it.at(place.clone())));
        }
        let mut put = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                facts.metadata.insert(key.to_owned(), value);
            }
        };
        put("sqlite3.schema_version", self.schema_version.map(|it| it.to_string()));
        put("ros_distro", self.ros_distro);
        put(SERIALIZED_METADATA, self.metadata);
        contradictions
    }

    /// The definition of a type that has a text. Events of services and actions have that of their service or action.
    fn definition(&self, type_name: &str) -> Option<&Definition> {
        let of = |name: &str| self.definitions.get(name).filter(|it| !it.text.trim().is_empty());
        if type_name.contains("/msg/") {
            return of(type_name);
        }
        let mut name = type_name;
        loop {
            if let Some(found) = of(name) {
                return Some(found);
            }
            name = name.rsplit_once('_').map(|it| it.0).filter(|it| it.contains('/'))?;
        }
    }
}

/// The name of a type as it is written since Dashing: `pkg/msg/Name`.
fn normal_name(name: &str) -> String {
    match name.split_once('/') {
        Some((package, rest)) if !rest.contains('/') && !rest.is_empty() => format!("{package}/msg/{rest}"),
        Some(_) | None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_found_by_the_type_that_they_are_of() {
        let definition = |text: &str| Definition {
            encoding: "ros2msg".to_owned(),
            text: text.to_owned(),
            type_hash: None,
        };
        let of = [("a/msg/B_C", "m"), ("a/srv/S", "s"), ("a/action/A", "t"), ("a/msg/Empty", " ")];
        let definitions = of.map(|(name, text)| (name.to_owned(), definition(text))).into();
        let declared = Declared { definitions, ..Declared::default() };
        let found = |name: &str| declared.definition(&normal_name(name)).map(|it| it.text.as_str());
        assert_eq!((found("a/B_C"), found("a/msg/B"), found("a/msg/B_C_D")), (Some("m"), None, None));
        assert_eq!((found("a/srv/S_Event"), found("a/srv/T_Event")), (Some("s"), None));
        assert_eq!(
            (found("a/action/A_SendGoal_Event"), found("a/action/A_FeedbackMessage")),
            (Some("t"), Some("t"))
        );
        assert_eq!((found("a/msg/Empty"), found("RealsenseMetadata")), (None, None));
    }
}
