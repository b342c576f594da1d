//! Text that came with the data, as it may be shown.
//!
//! Names of topics, features, tasks, files and whatever else a recording holds may be any text. Shown as they are, an escape
//! sequence would drive the terminal, a line break would forge a line of a report, and a mark of direction would let
//! text read as other than it is. Here is the one place that says which letters these are, and how each medium shows them.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr as _;

/// Whether a letter does something else than be seen: controls (C0, DEL, C1), line separators, marks of direction, and what
/// takes no room but is no part of a word. Joiners and variation selectors, which scripts and emoji need, are none of these.
pub fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{061c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
        )
}

/// One line: what is hidden becomes `\n`, `\t` or `\u{1b}`. For names, and for messages that name them.
pub fn visible(text: &str) -> Cow<'_, str> {
    replaced(text, is_hidden, push_visible)
}

/// Lines that the program put together: as [`visible`], but line breaks and tabs stay what they are.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    replaced(text, |it| is_hidden(it) && !is_layout(it), push_visible)
}

/// Text of JSON, in which the same is said by `\u001b`. Line breaks and tabs in it stand between values: in strings they are
/// escaped already.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    // All of them are below U+10000, so that one number is enough, and YAML understands it as well.
    let push = |out: &mut String, letter: char| out.push_str(&format!("\\u{:04x}", u32::from(letter)));
    replaced(json, |it| is_hidden(it) && !is_layout(it), push)
}

/// Text that HTML and XML show, in content and in quoted attributes: as [`visible`], and no markup begins in it.
pub fn visible_markup(text: &str) -> Cow<'_, str> {
    replaced(text, |it| is_markup(it) || is_hidden(it), push_markup)
}

/// Lines that the program put together, as HTML and XML show them: as [`visible_lines`], and no markup begins in them.
pub fn visible_markup_lines(text: &str) -> Cow<'_, str> {
    replaced(text, |it| is_markup(it) || is_hidden(it) && !is_layout(it), push_markup)
}

fn is_markup(letter: char) -> bool {
    matches!(letter, '&' | '<' | '>' | '"' | '\'')
}

fn push_markup(out: &mut String, letter: char) {
    match letter {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        other => push_visible(out, other),
    }
}

/// A code span of Markdown that may stand in a table: as [`visible`], and neither ends the span nor the cell.
pub fn visible_code(text: &str) -> String {
    let text = visible(text).replace('|', "\\|");
    if !text.contains('`') {
        return format!("`{text}`");
    }
    // A span ends where as many backticks stand as it began with.
    let longest = text.split(|it| it != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    format!("{fence} {text} {fence}")
}

/// Text between other words of Markdown: as [`visible`], and no link, picture, code, HTML or cell begins or ends in it.
/// `_` and `~` stay: names are full of them, and they only change how letters look.
pub fn visible_markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in visible(text).chars() {
        if matches!(letter, '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '&') {
            safe.push('\\');
        }
        safe.push(letter);
    }
    safe
}

/// Columns of a terminal that a line takes: two for a letter of Chinese, Japanese or Korean and for an emoji.
pub fn columns(line: &str) -> usize {
    line.width()
}

/// A name as [`visible`], with spaces behind it up to `n_columns`.
pub fn padded(name: &str, n_columns: usize) -> String {
    let mut shown = visible(name).into_owned();
    let missing = n_columns.saturating_sub(columns(&shown));
    shown.extend(std::iter::repeat_n(' ', missing));
    shown
}

/// Columns that a table needs for the longest of its names, within bounds.
pub fn column_of<'a>(names: impl IntoIterator<Item = &'a str>, least: usize, most: usize) -> usize {
    names.into_iter().map(|it| columns(&visible(it))).max().unwrap_or(0).clamp(least, most)
}

fn is_layout(letter: char) -> bool {
    matches!(letter, '\n' | '\t')
}

fn replaced(
    text: &str,
    is_replaced: impl Fn(char) -> bool,
    push: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    let Some(first) = text.find(&is_replaced) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 8);
    out.push_str(&text[..first]);
    for letter in text[first..].chars() {
        if is_replaced(letter) { push(&mut out, letter) } else { out.push(letter) }
    }
    Cow::Owned(out)
}

fn push_visible(out: &mut String, letter: char) {
    match letter {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        other => out.push_str(&format!("\\u{{{:x}}}", u32::from(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "/a\u{1b}[2J\nerror: b\u{202e}c\u{9b}\u{7f}";

    #[test]
    fn what_is_hidden_is_shown() {
        assert_eq!(visible(HOSTILE), r"/a\u{1b}[2J\nerror: b\u{202e}c\u{9b}\u{7f}");
        assert_eq!(visible_lines("a\n\tb\u{1b}\r"), "a\n\tb\\u{1b}\\r");
        for plain in ["/joint_states", "関節/状態", "👩\u{200d}🔬", "می\u{200c}خواهم", "a\u{fe0f}", r"C:\n"]
        {
            assert!(matches!(visible(plain), Cow::Borrowed(it) if it == plain), "{plain}");
        }
    }

    #[test]
    fn json_keeps_its_value() {
        for text in [HOSTILE, "\u{2028}🤖\u{9b}"] {
            let json = format!("{{\n  \"a\": {}}}\n", quoted(text));
            let shown = visible_json(&json);
            assert!(!shown.chars().any(|it| is_hidden(it) && it != '\n'), "{shown:?}");
            assert_eq!(unquoted(&shown), text);
        }
    }

    /// As `serde_json` writes it, which is not at hand here: it escapes what is below the space.
    fn quoted(text: &str) -> String {
        let inner: String = text
            .chars()
            .map(|it| if it < ' ' { format!("\\u{:04x}", u32::from(it)) } else { it.to_string() })
            .collect();
        format!("\"{inner}\"")
    }

    fn unquoted(json: &str) -> String {
        let inner = json.split('"').nth(3).expect("a value");
        let mut units = Vec::new();
        let mut rest = inner;
        while let Some(letter) = rest.chars().next() {
            match rest.strip_prefix("\\u") {
                Some(hex) => {
                    units.push(u16::from_str_radix(&hex[..4], 16).expect("four digits"));
                    rest = &hex[4..];
                }
                None => {
                    units.extend(letter.encode_utf16(&mut [0; 2]).iter());
                    rest = &rest[letter.len_utf8()..];
                }
            }
        }
        String::from_utf16(&units).expect("whole letters")
    }

    #[test]
    fn markup_stays_text() {
        assert_eq!(visible_markup("<a b='\"&\u{202e}\n'>"), "&lt;a b=&#39;&quot;&amp;\\u{202e}\\n&#39;&gt;");
        assert_eq!(visible_markup_lines("<\n\u{1b}"), "&lt;\n\\u{1b}");
        assert_eq!(visible_code("a|b\n"), r"`a\|b\n`");
        assert_eq!(visible_code("a`b``c"), "``` a`b``c ```");
        assert_eq!(visible_markdown("[x](y) <b> *a*"), r"\[x\](y) \<b\> \*a\*");
    }

    #[test]
    fn tables_count_columns() {
        assert_eq!((columns("関節"), columns("🤖"), columns("ab")), (4, 2, 2));
        assert_eq!(padded("関節", 6), "関節  ");
        assert_eq!(padded("a\n", 6), "a\\n   ");
        assert_eq!(padded("longer", 2), "longer");
        assert_eq!(column_of(["関節", "a"], 2, 40), 4);
        assert_eq!(column_of([], 6, 40), 6);
    }
}
