use nodedata_core::placed::{Member, Mistake, Node, Place, Value};

use super::yaml;

/// Reads variables of the environment. A function, so that tests need no environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces `${env:NAME}` and `${env:NAME:-default}` in every text of the document. `$${` stands for `${`.
pub(super) fn expand(node: &mut Node, environment: Environment<'_>, mistakes: &mut Vec<Mistake>) {
    match &mut node.value {
        Value::Text(text) if text.contains("${") => {
            match expanded(text, environment) {
                Ok(full) => *text = full,
                Err((message, hint)) => mistakes.push(Mistake::new(&node.place, message).with_hint(hint)),
            }
            node.expanded = true;
        }
        Value::List(items) => items.iter_mut().for_each(|it| expand(it, environment, mistakes)),
        Value::Map(members) => members.iter_mut().for_each(|it| expand(&mut it.node, environment, mistakes)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

fn expanded(text: &str, environment: Environment<'_>) -> Result<String, (String, String)> {
    let mut full = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, variable) = rest.split_at(at);
        if let Some(escaped) = before.strip_suffix('$') {
            full.push_str(escaped);
            full.push_str("${");
            rest = &variable[2..];
            continue;
        }
        full.push_str(before);
        let Some((inside, after)) = variable[2..].split_once('}') else {
            let message = format!("`{variable}` is a variable without its closing brace");
            return Err((message, "write `${env:NAME}`, or `$${` for the letters themselves".to_owned()));
        };
        let Some(name) = inside.strip_prefix("env:") else {
            let message = format!("`${{{inside}}}` is no variable: only those of the environment are");
            return Err((
                message,
                format!("write `${{env:{inside}}}`, or `$${{` for the letters themselves"),
            ));
        };
        let (name, default) = match name.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (name, None),
        };
        match environment(name).or_else(|| default.map(str::to_owned)) {
            Some(value) => full.push_str(&value),
            None => {
                let hint = format!("set it, or write `${{env:{name}:-default}}`");
                return Err((format!("the environment has no variable `{name}`"), hint));
            }
        }
        rest = after;
    }
    full.push_str(rest);
    Ok(full)
}

/// Puts `key.path=value` into the document. The value is YAML; a key with dots stands in double quotes, an
/// item of a list is `key[1]`.
pub(super) fn set(root: &mut Node, setting: &str) -> Result<(), Mistake> {
    let place = Place::Set(setting.to_owned());
    let wrong =
        |message: &str| Mistake::new(&place, message).with_hint("write it as `--set shards.target_mb=128`");
    let (path, value) = split_at_equals(setting).ok_or_else(|| wrong("there is no `=`"))?;
    let parts = parts(path).ok_or_else(|| wrong("this is no key path"))?;
    let mut value = yaml::parse(value).map_err(|_| wrong("the value cannot be read as YAML"))?;
    re_place(&mut value, &place);
    let mut node = root;
    for part in parts {
        node = match part {
            Part::Key(key) => {
                member(node, key, &place).ok_or_else(|| wrong("a part of the path is no mapping"))?
            }
            Part::Item(idx) => match &mut node.value {
                Value::List(items) => items.get_mut(idx).ok_or_else(|| wrong("the list has no such item"))?,
                _ => return Err(wrong("a part of the path is no list")),
            },
        };
    }
    *node = value;
    Ok(())
}

enum Part {
    Key(String),
    Item(usize),
}

/// The first `=` outside of quotes.
fn split_at_equals(setting: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (at, letter) in setting.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '=' if !quoted => return Some((&setting[..at], &setting[at + 1..])),
            _ => {}
        }
    }
    None
}

fn parts(path: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = path.trim();
    loop {
        let (key, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        if key.is_empty() {
            return None;
        }
        parts.push(Part::Key(key.to_owned()));
        rest = after;
        while let Some(item) = rest.strip_prefix('[') {
            let (idx, after) = item.split_once(']')?;
            parts.push(Part::Item(idx.parse().ok()?));
            rest = after;
        }
        match rest.strip_prefix('.') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Some(parts),
            None => return None,
        }
    }
}

/// The member of a mapping, made when it is not there.
fn member<'a>(node: &'a mut Node, key: String, place: &Place) -> Option<&'a mut Node> {
    if node.value == Value::Null {
        node.value = Value::Map(Vec::new());
    }
    let Value::Map(members) = &mut node.value else { return None };
    let idx = members.iter().position(|it| it.key == key).unwrap_or_else(|| {
        let node = Node { place: place.clone(), value: Value::Null, expanded: false };
        members.push(Member { place: place.clone(), key, node });
        members.len() - 1
    });
    members.get_mut(idx).map(|it| &mut it.node)
}

fn re_place(node: &mut Node, place: &Place) {
    node.place = place.clone();
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|it| re_place(it, place)),
        Value::Map(members) => {
            for member in members {
                member.place = place.clone();
                re_place(&mut member.node, place);
            }
        }
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {}
    }
}
