use std::fmt::{self, Display};

use nodedata_core::visible::visible_markup;

use crate::{call::Call, reply::Reply};

/// Text as HTML shows it, in content and in quoted attributes.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible_markup(&self.0.to_string()))
    }
}

/// A whole page. `body` is HTML, `title` is text.
pub(super) fn page(call: &Call, title: &str, body: &str) -> Reply {
    let who = match &call.principal.account {
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
    }
}
