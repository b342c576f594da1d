use std::collections::BTreeMap;

use nodedata_core::{
    Moment,
    placed::{Mistake, Node, Place, Value},
    suggest,
};
use nodedata_normalize::Rate;

use super::{
    keys::{Key, Kind},
    transforms,
    yaml::kind_of,
};

/// Where every key stands, by its path: `fields.action.from[1]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Places(BTreeMap<String, Place>);

impl Places {
    /// The place of a key, or of the nearest one above it that the file has.
    pub(super) fn of(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(place) = self.0.get(path) {
                return place.clone();
            }
            match path.rfind(['.', '[']) {
                Some(at) => path = &path[..at],
                None => return Place::File(1, 1),
            }
        }
    }
}

/// Holds a document against the table of keys.
pub(super) fn check(root: &Node, keys: &'static [Key]) -> (Places, Vec<Mistake>) {
    let mut checker = Checker { places: Places::default(), mistakes: Vec::new() };
    match &root.value {
        Value::Map(_) => checker.mapping(root, keys, None, ""),
        Value::Null => checker.mistakes.push(
            Mistake::new(&root.place, "the file is empty")
                .with_hint("`node-data init SRC` writes one to start from"),
        ),
        _ => checker.mistakes.push(Mistake::new(
            &root.place,
            format!("found {}, expected a mapping of stages", kind_of(&root.value)),
        )),
    }
    (checker.places, checker.mistakes)
}

struct Checker {
    places: Places,
    mistakes: Vec<Mistake>,
}

impl Checker {
    fn add(&mut self, place: &Place, message: String, hint: impl Into<String>) {
        self.mistakes.push(Mistake::new(place, message).with_hint(hint));
    }

    fn mapping(&mut self, node: &Node, keys: &'static [Key], names: Option<&'static Kind>, path: &str) {
        let place_name = if path.is_empty() { "the file".to_owned() } else { format!("`{path}`") };
        let mut seen: Vec<&str> = Vec::new();
        for member in node.members() {
            let inside = if path.is_empty() { member.key.clone() } else { format!("{path}.{}", member.key) };
            if seen.contains(&member.key.as_str()) {
                let message = format!("key `{}` stands twice in {place_name}", member.key);
                self.add(&member.place, message, "remove one of them");
                continue;
            }
            seen.push(&member.key);
            self.places.0.insert(inside.clone(), member.place.clone());
            let known = keys.iter().find(|it| it.name == member.key).map(|it| &it.kind);
            match known.or(names) {
                Some(kind) => self.value(&member.node, kind, &inside),
                None => {
                    let message = format!("unknown key `{}` in {place_name}", member.key);
                    self.add(&member.place, message, suggest(&member.key, keys.iter().map(|it| it.name)));
                }
            }
        }
        for key in keys.iter().filter(|it| it.required && !seen.contains(&it.name)) {
            let about = key.about.split(['.', ';']).next().unwrap_or_default();
            let place = if path.is_empty() { node.place.clone() } else { self.places.of(path) };
            self.add(
                &place,
                format!("{place_name} has no `{}`", key.name),
                format!("add `{}`: {}", key.name, lower(about)),
            );
        }
    }

    fn value(&mut self, node: &Node, kind: &'static Kind, path: &str) {
        match kind {
            Kind::Either(kinds) => match kinds.iter().find(|it| it.takes(node)) {
                Some(kind) => self.value(node, kind, path),
                // Words before mappings: a word that is none of those allowed is told as such.
                None => self.wrong_shape(node, kind, path),
            },
            _ if !kind.takes(node) => self.wrong_shape(node, kind, path),
            Kind::Map(keys) => self.mapping(node, keys, None, path),
            Kind::Names(keys, each) => {
                if node.members().is_empty() {
                    self.add(
                        &node.place,
                        format!("`{path}` is empty"),
                        "name at least one, or remove the key",
                    );
                }
                self.mapping(node, keys, Some(each), path);
            }
            Kind::List(each) => {
                if node.items().is_empty() {
                    self.add(
                        &node.place,
                        format!("`{path}` is empty"),
                        "name at least one, or remove the key",
                    );
                }
                for (idx, item) in node.items().iter().enumerate() {
                    let inside = format!("{path}[{idx}]");
                    self.places.0.insert(inside.clone(), item.place.clone());
                    self.value(item, each, &inside);
                }
            }
            Kind::Integer(..) | Kind::Number(..) | Kind::Rate | Kind::Moment(_) | Kind::Choice(_) => {
                self.scalar(node, kind, path);
            }
            Kind::Text if node.text().is_some_and(|it| it.trim().is_empty()) => {
                self.add(&node.place, format!("`{path}` is empty"), "write a value, or remove the key");
            }
            Kind::Secret => self.secret(node, path),
            Kind::Transforms(scope) => {
                if let Value::List(items) = &node.value {
                    for (idx, item) in items.iter().enumerate() {
                        self.places.0.insert(format!("{path}[{idx}]"), item.place.clone());
                    }
                }
                transforms::parse(node, *scope, path, &mut |place, message, hint| {
                    self.add(place, message, hint);
                });
            }
            Kind::Text | Kind::Bool | Kind::Constant => {}
        }
    }

    fn scalar(&mut self, node: &Node, kind: &'static Kind, path: &str) {
        match kind {
            Kind::Integer(min, max) => {
                let found = node.integer().unwrap_or_default();
                if found < i128::from(*min) || i128::from(*max) < found {
                    self.add(&node.place, format!("`{path}` is {found}"), between(min, max));
                }
            }
            Kind::Number(min, max) => {
                let found = node.number().unwrap_or_default();
                if !(*min..=*max).contains(&found) {
                    self.add(&node.place, format!("`{path}` is {found}"), between(min, max));
                }
            }
            Kind::Rate => {
                if let Err(message) = Rate::parse(&node.text().unwrap_or_default()) {
                    self.add(
                        &node.place,
                        format!("`{path}`: {message}"),
                        "write steps per second, such as `30`",
                    );
                }
            }
            Kind::Moment(takes_offsets) => match node.text().unwrap_or_default().parse::<Moment>() {
                Ok(moment) if moment.is_offset() && !takes_offsets => {
                    let message = format!("`{path}` counts from a start that ranges do not have");
                    self.add(&node.place, message, "write a date: `2026-06-11T09:30:00Z`");
                }
                Ok(_) => {}
                Err(message) => {
                    self.add(&node.place, format!("`{path}`: {message}"), "write it in one of these forms");
                }
            },
            Kind::Choice(words) => {
                let found = word(node).unwrap_or_default();
                if !words.contains(&found.as_str()) {
                    let message = format!("`{path}` is `{found}`");
                    self.add(&node.place, message, suggest(&found, words.iter().copied()));
                }
            }
            _ => {}
        }
    }

    /// Never says what stands there.
    fn secret(&mut self, node: &Node, path: &str) {
        const HINT: &str = "write `{env: NAME}` and set the variable NAME";
        let only_env = matches!(node.members(), [only] if only.key == "env" && matches!(only.node.value, Value::Text(_)));
        if !only_env {
            self.add(&node.place, format!("`{path}` is no reference to a variable"), HINT);
        } else if let Some(name) = node.get("env").and_then(Node::text)
            && !name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
        {
            self.add(&node.place, format!("`{path}.env` is no name of a variable"), HINT);
        }
    }

    fn wrong_shape(&mut self, node: &Node, kind: &'static Kind, path: &str) {
        if let Kind::Secret = kind {
            let message =
                format!("`{path}` holds {}, and a secret never stands in a file", kind_of(&node.value));
            self.add(&node.place, message, "write `{env: NAME}` and set the variable NAME");
            return;
        }
        let found = match node.text().filter(|it| it.chars().count() <= 60) {
            Some(text) => format!("{} (`{text}`)", kind_of(&node.value)),
            None => kind_of(&node.value).to_owned(),
        };
        self.add(&node.place, format!("`{path}` is {found}"), format!("expected {}", kind.told()));
    }
}

impl Kind {
    /// Whether a value has the shape of this kind.
    fn takes(&self, node: &Node) -> bool {
        match self {
            Self::Text | Self::Rate | Self::Moment(_) => node.text().is_some(),
            Self::Bool => node.bool().is_some(),
            Self::Integer(..) => node.integer().is_some(),
            Self::Number(..) => node.number().is_some(),
            Self::Choice(_) => word(node).is_some(),
            Self::Secret | Self::Map(_) | Self::Names(..) => matches!(node.value, Value::Map(_)),
            Self::List(_) => matches!(node.value, Value::List(_)),
            Self::Constant => match &node.value {
                Value::List(items) => !items.is_empty() && items.iter().all(|it| it.number().is_some()),
                _ => node.text().is_some(),
            },
            Self::Transforms(_) => {
                node.text().is_some() || matches!(node.value, Value::Map(_) | Value::List(_))
            }
            Self::Either(kinds) => kinds.iter().any(|it| it.takes(node)),
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Bool => "`true` or `false`".to_owned(),
            Self::Integer(..) => "a whole number".to_owned(),
            Self::Number(..) => "a number".to_owned(),
            Self::Rate => "steps per second, such as `30`".to_owned(),
            Self::Moment(_) => "a date with its zone, or a number with its unit".to_owned(),
            Self::Choice(words) => format!("one of: {}", words.join(", ")),
            Self::Secret => "`{env: NAME}`".to_owned(),
            Self::Constant => "text, a number, a bool, or a list of numbers".to_owned(),
            Self::List(each) => format!("a list, each item {}", each.told()),
            Self::Map(keys) => {
                let names: Vec<&str> = keys.iter().map(|it| it.name).collect();
                format!("a mapping with {}", names.join(", "))
            }
            Self::Names(_, each) => format!("a mapping from names, each to {}", each.told()),
            Self::Transforms(_) => transforms::EXPECTED.to_owned(),
            Self::Either(kinds) => kinds.iter().map(Self::told).collect::<Vec<_>>().join("; or "),
        }
    }
}

/// A word of a choice. YAML reads a plain `null` as nothing; `false` is another word for `off`.
pub(super) fn word(node: &Node) -> Option<String> {
    match &node.value {
        Value::Null => Some("null".to_owned()),
        Value::Bool(false) => Some("off".to_owned()),
        _ => node.text(),
    }
}

fn between(min: impl std::fmt::Display, max: impl std::fmt::Display) -> String {
    let (min, max) = (min.to_string(), max.to_string());
    if min == max { format!("it must be {min}") } else { format!("it must be from {min} to {max}") }
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |it| it.to_lowercase().chain(letters).collect())
}
