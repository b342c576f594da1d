//! Messages a service or action implies: requests, responses, events, feedback.

use std::collections::BTreeMap;

use nodedata_core::Result;

use crate::{
    definition::{Dialect, FieldDef, FieldType, Primitive, StructDef, TypeDef},
    msg::{self, KnownTypes},
    parts::Part,
};

type Named = (String, StructDef);

/// Parses one part: a message, or, under `pkg/srv/` and `pkg/action/`, text with `---` lines. An action has services of its own,
/// whose texts may lie beside it.
pub(crate) fn parse(name: &str, part: &Part<'_>, dialect: Dialect, known: &KnownTypes) -> Result<Vec<Named>> {
    let sections = sections(part);
    let is_action = name.contains("/action/") && sections.len() == 3;
    let is_service = (name.contains("/srv/") || name.contains("/action/")) && sections.len() == 2;
    if !is_action && !is_service {
        return Ok(vec![(name.to_owned(), msg::parse(name, part, dialect, known)?)]);
    }
    let suffixes: &[&str] =
        if is_action { &["_Goal", "_Result", "_Feedback"] } else { &["_Request", "_Response"] };
    let base = if is_action { wholes(name).last() } else { message_of(name) }.unwrap_or(name);
    let mut types = Vec::new();
    for (suffix, section) in suffixes.iter().zip(&sections) {
        let name = format!("{base}{suffix}");
        let structure = msg::parse(&name, section, dialect, known)?;
        types.push((name, structure));
    }
    if is_action {
        types.extend(action_messages(base));
    }
    Ok(types)
}

/// Event messages of all services whose request and response are defined.
///
/// rosbag2 names the event type (`pkg/srv/X_Event`) and gives the text of the service.
pub(crate) fn events(types: &BTreeMap<String, TypeDef>) -> Vec<Named> {
    types
        .keys()
        .filter_map(|name| name.strip_suffix("_Request"))
        .filter(|base| base.contains('/') && types.contains_key(&format!("{base}_Response")))
        .map(|base| {
            let at_most_one = |suffix: &str| FieldType::Sequence {
                item: Box::new(FieldType::Named(format!("{base}{suffix}"))),
                bound: Some(1),
            };
            let fields = vec![
                ("info", FieldType::Named("service_msgs/msg/ServiceEventInfo".to_owned())),
                ("request", at_most_one("_Request")),
                ("response", at_most_one("_Response")),
            ];
            (format!("{base}_Event"), structure(fields))
        })
        .collect()
}

/// The messages behind the topics and services of an action, as rosidl derives them.
fn action_messages(base: &str) -> Vec<Named> {
    let goal_id = || ("goal_id", FieldType::Named("unique_identifier_msgs/msg/UUID".to_owned()));
    let own = |suffix: &str| FieldType::Named(format!("{base}{suffix}"));
    let stamp = FieldType::Named("builtin_interfaces/msg/Time".to_owned());
    let messages = [
        ("_FeedbackMessage", vec![goal_id(), ("feedback", own("_Feedback"))]),
        ("_SendGoal_Request", vec![goal_id(), ("goal", own("_Goal"))]),
        ("_SendGoal_Response", vec![("accepted", FieldType::Primitive(Primitive::Bool)), ("stamp", stamp)]),
        ("_GetResult_Request", vec![goal_id()]),
        (
            "_GetResult_Response",
            vec![("status", FieldType::Primitive(Primitive::Int8)), ("result", own("_Result"))],
        ),
    ];
    messages.into_iter().map(|(suffix, fields)| (format!("{base}{suffix}"), structure(fields))).collect()
}

fn structure(fields: Vec<(&str, FieldType)>) -> StructDef {
    let fields = fields
        .into_iter()
        .zip(0..)
        .map(|((name, field_type), member_id)| FieldDef {
            name: name.to_owned(),
            field_type,
            member_id,
            optional: false,
            unit: None,
        })
        .collect();
    StructDef { fields, ..StructDef::default() }
}

/// Endings of the names of messages that an action implies; a service implies the first three.
const SUFFIXES: [&str; 7] =
    ["_Event", "_Request", "_Response", "_FeedbackMessage", "_Feedback", "_Goal", "_Result"];
/// Endings of the names of the services that an action has.
const SERVICES: [&str; 2] = ["_SendGoal", "_GetResult"];

/// The service or action that a message belongs to; `None` where its name says nothing of one.
fn message_of(name: &str) -> Option<&str> {
    let n_suffixes = if name.contains("/srv/") { 3 } else { SUFFIXES.len() };
    SUFFIXES.iter().take(n_suffixes).find_map(|it| name.strip_suffix(it))
}

/// What a derived message or service belongs to, the nearest first: `pkg/action/X_SendGoal_Event` is a message of the service
/// `pkg/action/X_SendGoal`, and that is one of the action `pkg/action/X`.
pub(crate) fn wholes(name: &str) -> impl Iterator<Item = &str> {
    let nearest = message_of(name).filter(|_| !name.contains("/msg/"));
    let of_action = Some(nearest.unwrap_or(name)).filter(|it| it.contains("/action/"));
    let action = of_action.and_then(|whole| SERVICES.iter().find_map(|it| whole.strip_suffix(it)));
    nearest.into_iter().chain(action)
}

/// What `pkg/msg/X_Goal` may mean where there is no such message: texts that are made of an action leave the folder of its parts
/// out.
pub(crate) fn derived(name: &str) -> impl Iterator<Item = String> {
    let parts = name.split_once("/msg/").filter(|it| message_of(it.1).is_some());
    parts.into_iter().flat_map(|(package, last)| ["action", "srv"].map(|it| format!("{package}/{it}/{last}")))
}

/// The texts between `---` lines.
fn sections<'a>(part: &Part<'a>) -> Vec<Part<'a>> {
    let mut sections = Vec::new();
    let mut current = *part;
    let (mut start, mut at) = (0, 0);
    for (idx, line) in part.text.split_inclusive('\n').enumerate() {
        let line_start = at;
        at += line.len();
        if line.trim() == "---" {
            sections.push(Part { text: &part.text[start..line_start], ..current });
            current.first_line = part.first_line + idx + 1;
            start = at;
        }
    }
    sections.push(Part { text: &part.text[start..], ..current });
    sections
}

#[cfg(test)]
mod tests {
    use crate::{Definitions, Dialect};

    #[test]
    fn a_service_defines_its_events() {
        let text = "bool on\n---\nstring said\n========\nSRV: lab/srv/Other\n---\n";
        for root in ["lab/srv/Switch", "lab/srv/Switch_Event"] {
            let definitions = Definitions::from_msg(root, text, Dialect::Ros2).unwrap();
            for name in ["Switch_Request", "Switch_Response", "Switch_Event", "Switch", "Other_Event"] {
                assert!(definitions.contains(&format!("lab/srv/{name}")), "{root}: {name}");
            }
        }
        assert!(Definitions::from_msg("lab/msg/Switch", text, Dialect::Ros2).is_err());
    }

    #[test]
    fn messages_belong_to_services_and_those_to_actions() {
        let wholes = |name: &'static str| super::wholes(name).collect::<Vec<_>>();
        assert_eq!(wholes("a/action/X_SendGoal_Event"), ["a/action/X_SendGoal", "a/action/X"]);
        assert_eq!(wholes("a/action/X_FeedbackMessage"), ["a/action/X"]);
        assert_eq!(wholes("a/action/X_GetResult"), ["a/action/X"]);
        assert_eq!(wholes("a/srv/X_SendGoal_Event"), ["a/srv/X_SendGoal"]);
        // A service may be called like a part of an action.
        assert_eq!(wholes("a/srv/Set_Goal_Request"), ["a/srv/Set_Goal"]);
        assert!(
            ["a/msg/X_Goal", "a/action/X", "a/srv/Set_Goal"].iter().all(|it| super::wholes(it).count() == 0)
        );
        let derived = |name: &str| super::derived(name).collect::<Vec<_>>();
        assert_eq!(derived("a/msg/X_Goal"), ["a/action/X_Goal", "a/srv/X_Goal"]);
        assert!(derived("a/msg/Goal").is_empty() && derived("a/srv/X_Goal").is_empty());
    }

    #[test]
    fn the_service_of_an_action_may_have_a_text_of_its_own() {
        let text = "lab/Go_Goal goal\n---\nbool accepted\n========\nMSG: lab/action/Go_Goal\nint32 order\n";
        let root = "lab/action/Go_SendGoal";
        let definitions = Definitions::from_msg(root, text, Dialect::Ros2).unwrap();
        assert!(definitions.contains("lab/action/Go_SendGoal_Event"));
        assert!(definitions.contains("lab/Go_Goal") && !definitions.contains("lab/Go"));
        assert!(definitions.missing("lab/action/Go_SendGoal_Event").is_empty());
    }

    #[test]
    fn an_action_defines_its_messages() {
        let text = "int32 order\n---\nint32[] sequence\n---\nfloat32 progress";
        let definitions =
            Definitions::from_msg("lab/action/Go_FeedbackMessage", text, Dialect::Ros2).unwrap();
        for name in ["Go_Goal", "Go_FeedbackMessage", "Go_SendGoal_Event", "Go_GetResult_Response"] {
            assert!(definitions.contains(&format!("lab/action/{name}")), "{name}");
        }
        let definitions = Definitions::from_msg("lab/action/Go_SendGoal_Event", text, Dialect::Ros2).unwrap();
        assert!(definitions.contains("lab/action/Go_SendGoal_Event"));
    }
}
