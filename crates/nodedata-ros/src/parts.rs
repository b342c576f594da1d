//! Definitions as recordings concatenate them: one text per type, between lines of `=`.

use crate::definition::normalize;

/// One definition of a concatenated text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// As written after `MSG:`, `SRV:`, `ACTION:` or `IDL:`; the root's name for a part without a heading.
    pub(crate) name: &'a str,
    /// Whether the heading was `IDL:`.
    pub(crate) is_idl: bool,
    pub(crate) text: &'a str,
    /// Line of the whole text its first line is, from 1.
    pub(crate) first_line: usize,
}

/// Splits `text`. What stands before the first heading belongs to `root_name`; a part without a heading
/// is left out only where it is blank and the root follows under a heading of its own, as in `ros2idl` and in the services and
/// actions that rosbag2 records since Jazzy.
pub(crate) fn split<'a>(text: &'a str, root_name: &'a str) -> Vec<Part<'a>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parts = Vec::new();
    let mut current = Part { name: root_name, is_idl: false, text: "", first_line: 1 };
    let mut start = 0;
    let mut at = 0;
    let mut after_separator = false;
    for (idx, line) in text.split_inclusive('\n').enumerate() {
        let line_start = at;
        at += line.len();
        let trimmed = line.trim();
        if is_separator(trimmed) {
            if !after_separator {
                current.text = &text[start..line_start];
                parts.push(current);
            }
            current = Part { name: root_name, is_idl: false, text: "", first_line: idx + 2 };
            start = at;
            after_separator = true;
        } else if after_separator && !trimmed.is_empty() {
            if let Some((is_idl, name)) = heading(trimmed) {
                current = Part { name, is_idl, text: "", first_line: idx + 2 };
                start = at;
            }
            after_separator = false;
        }
    }
    current.text = &text[start..];
    parts.push(current);
    let first_is_blank = parts.len() > 1 && parts[0].text.trim().is_empty();
    // An empty root before `MSG:` parts of other types is an empty message; before `IDL:` parts it is nothing.
    if first_is_blank && (parts[1].is_idl || parts[1..].iter().any(|it| it.defines(root_name))) {
        parts.remove(0);
    }
    parts
}

impl Part<'_> {
    /// Whether it defines the type `root`, or the service or action that `root` is a message of.
    fn defines(&self, root: &str) -> bool {
        let (name, root) = (normalize(self.name), normalize(root));
        let rest = root.strip_prefix(&name);
        rest.is_some_and(|it| it.is_empty() || (!name.contains("/msg/") && it.starts_with('_')))
    }
}

fn is_separator(line: &str) -> bool {
    line.len() >= 8 && line.bytes().all(|it| it == b'=')
}

fn heading(line: &str) -> Option<(bool, &str)> {
    [("MSG:", false), ("SRV:", false), ("ACTION:", false), ("IDL:", true)].into_iter().find_map(
        |(keyword, is_idl)| {
            line.strip_prefix(keyword).map(|name| (is_idl, name.trim())).filter(|(_, name)| !name.is_empty())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::split;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, bool, &str, usize)]) {
        let parts = split(text, "a/Root");
        let found: Vec<_> = parts.iter().map(|it| (it.name, it.is_idl, it.text, it.first_line)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn parts_end_at_lines_of_equal_signs() {
        check("", &[("a/Root", false, "", 1)]);
        check(
            "uint8 x\r\n========\r\nMSG: b/C\r\nuint8 y",
            &[("a/Root", false, "uint8 x\r\n", 1), ("b/C", false, "uint8 y", 4)],
        );
        check("========\nMSG: b/C\n", &[("a/Root", false, "", 1), ("b/C", false, "", 3)]);
        check(
            "========\nIDL: b/msg/C\nx\n\n========\nIDL: d/msg/E\ny\n",
            &[("b/msg/C", true, "x\n\n", 3), ("d/msg/E", true, "y\n", 7)],
        );
    }

    #[test]
    fn a_text_may_begin_with_the_heading_of_its_root() {
        let split_as = |root: &str, text: &str| {
            split(text, root).iter().map(|it| it.name.to_owned()).collect::<Vec<_>>()
        };
        let service = "========\nSRV: a/srv/Add\nint64 a\n---\nint64 sum\n========\nMSG: b/C\nint8 x\n";
        assert_eq!(split_as("a/srv/Add_Event", service), ["a/srv/Add", "b/C"]);
        let action = "\n========\nACTION: a/action/Go\nint8 x\n---\n---\n";
        assert_eq!(split_as("a/action/Go_SendGoal_Event", action), ["a/action/Go"]);
        assert_eq!(split_as("a/msg/T", "========\nMSG: a/T\nint8 x\n"), ["a/T"]);
        // A message of another type behind nothing: the root is empty.
        assert_eq!(split_as("a/msg/T_x", "========\nMSG: a/T\nint8 x\n"), ["a/msg/T_x", "a/T"]);
    }
}
