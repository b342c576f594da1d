use std::collections::BTreeSet;

use nodedata_core::{
    placed::{Node, Place, Value},
    suggest,
};
use nodedata_normalize::{
    Argument, ArgumentKind, Arguments, FieldTransform, Given, Scope, StepTransform, TRANSFORMS, Transform,
    TransformKind, find_transform,
};
use serde_json::{Map, json};

use super::{check::word, json_schema::or_variable, yaml::kind_of};

/// What may stand behind `transform`.
pub(super) const EXPECTED: &str = "a transform such as `gripper/invert`, one with arguments such as `{clip: {min: -1, max: 1}}`, or a list of these";

/// Notes a mistake at a place, with what the user can do.
type Wrong<'a> = dyn FnMut(&Place, String, String) + 'a;

/// The transforms of a field; mistakes were told when the document was checked.
pub(super) fn of_field(node: &Node) -> Vec<FieldTransform> {
    let all = parse(node, Scope::Field, "", &mut |_, _, _| {}).into_iter();
    all.filter_map(|it| if let Transform::Field(it) = it { Some(it) } else { None }).collect()
}

/// The transforms of whole steps; as [`of_field`].
pub(super) fn of_steps(node: &Node) -> Vec<StepTransform> {
    let all = parse(node, Scope::Steps, "", &mut |_, _, _| {}).into_iter();
    all.filter_map(|it| if let Transform::Steps(it) = it { Some(it) } else { None }).collect()
}

/// Reads the transforms at `path`. One that is wrong is told and left out.
pub(super) fn parse(node: &Node, scope: Scope, path: &str, wrong: &mut Wrong<'_>) -> Vec<Transform> {
    let Value::List(items) = &node.value else {
        return one(node, scope, path, wrong).into_iter().collect();
    };
    if items.is_empty() {
        wrong(&node.place, format!("`{path}` is empty"), "name at least one, or remove the key".to_owned());
    }
    let of_item = |(idx, item): (usize, &Node)| one(item, scope, &format!("{path}[{idx}]"), wrong);
    items.iter().enumerate().filter_map(of_item).collect()
}

fn one(node: &Node, scope: Scope, path: &str, wrong: &mut Wrong<'_>) -> Option<Transform> {
    let (name, place, given) = match (&node.value, node.members()) {
        (Value::Map(_), [only]) => (only.key.clone(), &only.place, Some(&only.node)),
        (Value::Map(_), [_, second, ..]) => {
            let message =
                format!("`{path}` names several transforms in one mapping, whose order says nothing");
            wrong(&second.place, message, "write a list with one of them an item".to_owned());
            return None;
        }
        _ => match node.text() {
            Some(name) => (name.trim().to_owned(), &node.place, None),
            None => {
                let message = format!("`{path}` is {}", kind_of(&node.value));
                wrong(&node.place, message, format!("expected {EXPECTED}"));
                return None;
            }
        },
    };
    let kind = match find_transform(&name, scope) {
        Ok(kind) => kind,
        Err((message, hint)) => {
            wrong(place, format!("`{path}`: {message}"), hint);
            return None;
        }
    };
    let arguments = match given {
        Some(given) => arguments(kind, given, path, wrong)?,
        None => Arguments::default(),
    };
    let made = kind.with(&arguments);
    let Given { argument, told, hint } = match made {
        Ok(transform) => return Some(transform),
        Err(given) => given,
    };
    let member = argument.and_then(|name| given?.members().iter().find(|it| it.key == name));
    wrong(member.map_or(place, |it| &it.place), format!("`{path}`: {told}"), hint);
    None
}

/// The arguments of a transform; `None` when one is wrong.
fn arguments(
    kind: &'static TransformKind,
    node: &Node,
    path: &str,
    wrong: &mut Wrong<'_>,
) -> Option<Arguments> {
    let names = || kind.arguments.iter().map(|it| it.name);
    let is_mapping = matches!(node.value, Value::Map(_) | Value::Null);
    if let Some(short) = kind.short.and_then(|it| kind.argument(it)).filter(|_| !is_mapping) {
        let mut arguments = Arguments::default();
        let (message, hint) = match take(short, node, &mut arguments) {
            Ok(()) => return Some(arguments),
            Err(told) => told,
        };
        wrong(&node.place, format!("`{path}`: `{}` of `{}` {message}", short.name, kind.name()), hint);
        return None;
    }
    if !is_mapping {
        let names: Vec<&str> = names().collect();
        let expected = match names.as_slice() {
            [] => "it takes no arguments: write its name alone".to_owned(),
            names => format!("expected a mapping with {}", names.join(", ")),
        };
        let message = format!("`{path}`: `{}` is told {}", kind.name(), kind_of(&node.value));
        wrong(&node.place, message, expected);
        return None;
    }
    let mut arguments = Arguments::default();
    let mut seen = BTreeSet::new();
    let mut is_sound = true;
    for member in node.members() {
        let told = match kind.argument(&member.key) {
            _ if !seen.insert(&member.key) => {
                Err((&member.place, "stands twice".to_owned(), "remove one of them".to_owned()))
            }
            None => Err((&member.place, "is no argument of it".to_owned(), suggest(&member.key, names()))),
            Some(argument) => take(argument, &member.node, &mut arguments)
                .map_err(|(message, hint)| (&member.node.place, message, hint)),
        };
        if let Err((place, message, hint)) = told {
            wrong(place, format!("`{path}`: `{}` of `{}` {message}", member.key, kind.name()), hint);
            is_sound = false;
        }
    }
    let missing = kind.arguments.iter().find(|it| it.required && node.get(it.name).is_none());
    if let Some(missing) = missing {
        let message = format!("`{path}`: `{}` has no `{}`", kind.name(), missing.name);
        wrong(&node.place, message, format!("add it: {}", missing.about));
        is_sound = false;
    }
    is_sound.then_some(arguments)
}

/// Takes in a value; says what is wrong with it, and what would be right.
fn take(argument: &Argument, node: &Node, into: &mut Arguments) -> Result<(), (String, String)> {
    let name = argument.name;
    let found = match node.text().filter(|it| it.chars().count() <= 60) {
        Some(text) => format!("is `{text}`"),
        None => format!("is {}", kind_of(&node.value)),
    };
    match argument.kind {
        ArgumentKind::Integer => {
            let value = node.integer().and_then(|it| i32::try_from(it).ok());
            into.integers.insert(name, value.ok_or((found, "expected a whole number".to_owned()))?);
        }
        ArgumentKind::Number => {
            let value = node.number().filter(|it| it.is_finite());
            into.numbers.insert(name, value.ok_or((found, "expected a number".to_owned()))?);
        }
        ArgumentKind::Word(words) => {
            let value = word(node).filter(|it| words.contains(&it.as_str()));
            let hint = || suggest(&word(node).unwrap_or_default(), words.iter().copied());
            into.texts.insert(name, value.ok_or_else(|| (found, hint()))?);
        }
        ArgumentKind::Text => {
            let value = node.text().map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
            into.texts.insert(name, value.ok_or((found, "expected a name".to_owned()))?);
        }
        ArgumentKind::Integers => {
            let value = |it: &Node| it.integer().and_then(|it| i32::try_from(it).ok());
            let values: Option<Vec<i32>> = listed(node).iter().map(value).collect();
            let values = values.filter(|it| !it.is_empty());
            into.lists
                .insert(name, values.ok_or((found, "expected whole numbers: `[0, 1, -1]`".to_owned()))?);
        }
        ArgumentKind::Texts => {
            let value = |it: &Node| it.text().map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
            let values: Option<Vec<String>> = listed(node).iter().map(value).collect();
            let values = values.filter(|it| !it.is_empty());
            into.names.insert(name, values.ok_or((found, "expected names: `[x, y, z]`".to_owned()))?);
        }
    }
    Ok(())
}

/// The items of a list; a value that is none stands for a list of it.
fn listed(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

/// What editors know of transforms.
pub(super) fn json_schema(scope: Scope) -> serde_json::Value {
    let of_scope = || TRANSFORMS.into_iter().filter(move |it| it.scope == scope);
    let both = TransformKind::names;
    let alone = of_scope().filter(|it| it.with(&Arguments::default()).is_ok());
    let alone: Vec<&str> = alone.flat_map(both).collect();
    let told: Map<String, serde_json::Value> =
        of_scope().flat_map(|it| both(it).map(move |name| (name.to_owned(), with_arguments(it)))).collect();
    let one = json!({"anyOf": [
        or_variable(&json!({"enum": alone})),
        {
            "type": "object",
            "properties": told,
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        },
    ]});
    json!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
}

fn with_arguments(kind: &TransformKind) -> serde_json::Value {
    let mut properties = Map::new();
    for argument in kind.arguments {
        let mut value = of_argument(argument.kind);
        if let serde_json::Value::Object(members) = &mut value {
            members.insert("description".to_owned(), json!(argument.about));
        }
        properties.insert(argument.name.to_owned(), value);
    }
    let required: Vec<&str> = kind.arguments.iter().filter(|it| it.required).map(|it| it.name).collect();
    let about = format!("{}: {}", kind.about, kind.formula);
    let mut schema = json!({
        "type": ["object", "null"],
        "description": about,
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    match kind.short.and_then(|it| kind.argument(it)) {
        Some(short) => json!({"anyOf": [schema, of_argument(short.kind)], "description": about}),
        None => schema,
    }
}

fn of_argument(kind: ArgumentKind) -> serde_json::Value {
    let integer = || json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX});
    match kind {
        ArgumentKind::Integer => or_variable(&integer()),
        ArgumentKind::Number => or_variable(&json!({"type": "number"})),
        ArgumentKind::Word(words) => {
            let mut words: Vec<serde_json::Value> = words.iter().map(|it| json!(it)).collect();
            // YAML reads it so.
            if words.contains(&json!("null")) {
                words.push(serde_json::Value::Null);
            }
            or_variable(&json!({"enum": words}))
        }
        // `1` is a unit as well.
        ArgumentKind::Text => json!({"type": ["string", "number"]}),
        ArgumentKind::Integers => {
            let one = or_variable(&integer());
            json!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
        }
        ArgumentKind::Texts => {
            let one = json!({"type": "string"});
            json!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
        }
    }
}
