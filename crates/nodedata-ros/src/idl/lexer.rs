use nodedata_core::{ErrorKind, Result};

use crate::{definition::bad_definition, parts::Part};

/// What a piece of IDL text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A keyword or identifier.
    Word,
    /// A number; its spelling is checked where it is used.
    Number,
    /// A string or character literal, without its quotes.
    Literal,
    /// `::` or one other character.
    Punctuation,
}

/// A piece of IDL text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    pub(crate) text: &'a str,
    /// Line in the whole definition, from 1.
    pub(crate) line: usize,
}

/// Splits IDL text; comments and preprocessor lines are left out.
pub(crate) fn tokens<'a>(part: &Part<'a>) -> Result<Vec<Token<'a>>> {
    let text = part.text;
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut line = part.first_line;
    let mut at = 0;
    let mut line_is_blank = true;
    while let Some(&byte) = bytes.get(at) {
        let rest = &text[at..];
        if byte == b'\n' {
            line += 1;
            line_is_blank = true;
            at += 1;
        } else if byte.is_ascii_whitespace() {
            at += 1;
        } else if rest.starts_with("//") || (byte == b'#' && line_is_blank) {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            let end = rest.find("*/").map_or(rest.len(), |it| it + 2);
            line += rest[..end].matches('\n').count();
            at += end;
        } else {
            line_is_blank = false;
            let (kind, n_bytes) = token(rest).ok_or_else(|| {
                bad_definition(
                    ErrorKind::Corrupt,
                    format!("line {line} of the IDL of {}: found a literal without its end", part.name),
                )
            })?;
            let whole = &rest[..n_bytes];
            let text = if kind == TokenKind::Literal { &whole[1..n_bytes - 1] } else { whole };
            tokens.push(Token { kind, text, line });
            line += whole.matches('\n').count();
            at += n_bytes;
        }
    }
    Ok(tokens)
}

/// Kind and length of the token `rest` starts with; `None` for an open literal.
fn token(rest: &str) -> Option<(TokenKind, usize)> {
    let bytes = rest.as_bytes();
    let first = *bytes.first()?;
    let length = |is_part: fn(u8) -> bool| bytes.iter().position(|it| !is_part(*it)).unwrap_or(bytes.len());
    Some(match first {
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
            (TokenKind::Word, length(|it| it.is_ascii_alphanumeric() || it == b'_'))
        }
        b'0'..=b'9' => {
            (TokenKind::Number, length(|it| it.is_ascii_alphanumeric() || it == b'.' || it == b'_'))
        }
        b'"' | b'\'' => {
            let mut at = 1;
            loop {
                match *bytes.get(at)? {
                    b'\\' => at += 2,
                    it if it == first => break,
                    _ => at += 1,
                }
            }
            (TokenKind::Literal, at + 1)
        }
        b':' if rest.starts_with("::") => (TokenKind::Punctuation, 2),
        _ => (TokenKind::Punctuation, rest.chars().next().map_or(1, char::len_utf8)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> Part<'_> {
        Part { name: "a/msg/B", is_idl: true, text, first_line: 1 }
    }

    #[test]
    fn comments_and_preprocessor_lines_are_left_out() {
        let text = "#include <x>\n@a(\"q // \\\" é\") /* x\n y */ b::c[0x1F]; // end\n'é'";
        let found: Vec<_> = tokens(&part(text)).unwrap().iter().map(|it| (it.text, it.line)).collect();
        let expected = [
            ("@", 2),
            ("a", 2),
            ("(", 2),
            ("q // \\\" é", 2),
            (")", 2),
            ("b", 3),
            ("::", 3),
            ("c", 3),
            ("[", 3),
            ("0x1F", 3),
            ("]", 3),
            (";", 3),
            ("é", 4),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_open_literal_is_damage() {
        for text in ["\"abc", "'", "\"\\"] {
            assert_eq!(tokens(&part(text)).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        assert!(tokens(&part("/* open")).unwrap().is_empty());
    }
}
