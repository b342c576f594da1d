use std::fmt::{self, Display};

use chrono::DateTime;
use nodedata_core::visible::visible_markup;

use crate::{call::Call, reply::Reply};

/// Text as HTML shows it, in content and in quoted attributes.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible_markup(&self.0.to_string()))
    }
}

/// A whole page for whoever asks. `body` is HTML, `title` is text.
pub(super) fn page(call: &Call, title: &str, body: &str) -> Reply {
    page_of(call.principal.account.as_deref(), title, body)
}

/// The same for an account.
pub(super) fn page_of(account: Option<&str>, title: &str, body: &str) -> Reply {
    let who = match account {
        Some(account) => format!("<span class=\"who\">{}</span>", Escaped(account)),
        None => "<a class=\"who\" href=\"/login\">log in</a>".to_owned(),
    };
    let text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{} · node-data</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n<header><a href=\"/\">node-data</a>{who}</header>\n<main>\n{body}</main>\n</body>\n</html>\n",
        Escaped(title)
    );
    Reply::new("text/html; charset=utf-8", text)
}

pub(super) fn badge(class: &str, text: impl Display) -> String {
    format!("<span class=\"badge {class}\">{}</span>", Escaped(text))
}

/// A time of a record, such as `2026-11-28T11:02:47Z`, in HTML.
pub(super) fn time(at: &str) -> String {
    match DateTime::parse_from_rfc3339(at) {
        Ok(parsed) => {
            format!(
                "<time datetime=\"{}\">{}</time>",
                Escaped(at),
                parsed.to_utc().format("%-d %B %Y, %H:%M UTC")
            )
        }
        Err(_) => Escaped(at).to_string(),
    }
}

/// Nanoseconds since 1970 as a date and a time.
pub(super) fn moment(nanos: i64) -> String {
    DateTime::from_timestamp_nanos(nanos).format("%Y-%m-%d %H:%M:%S%.3f UTC").to_string()
}

/// `1 episode`, `2 episodes`, `1,101 rows`.
pub(super) fn plural(n: u64, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{} {word}s", count(n)) }
}

/// With commas between thousands.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes in the unit people read best.
pub(super) fn human_bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_text_and_attributes() {
        assert_eq!(
            Escaped("<a href='x' b=\"&\">").to_string(),
            "&lt;a href=&#39;x&#39; b=&quot;&amp;&quot;&gt;"
        );
        assert_eq!(human_bytes(1536), "1.5 KiB");
        let shown = "<time datetime=\"2026-11-08T09:02:47Z\">8 November 2026, 09:02 UTC</time>";
        assert_eq!([time("2026-11-08T09:02:47Z"), time("soon")], [shown, "soon"]);
        assert_eq!(
            [plural(1, "row"), plural(0, "row"), plural(1101, "row")],
            ["1 row", "0 rows", "1,101 rows"]
        );
    }
}
