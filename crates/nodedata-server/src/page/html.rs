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
    page_of(call.principal.account.as_deref(), call.has_session, title, body)
}

/// The same for an account, with a way out where it has logged in.
pub(super) fn page_of(account: Option<&str>, has_session: bool, title: &str, body: &str) -> Reply {
    let out = match has_session {
        true => "<form action=\"/logout\" method=\"post\"><button>Log out</button></form>",
        false => "",
    };
    let who = match account {
        Some(account) => format!("<span class=\"who\">{}</span>{out}", Escaped(account)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_text_and_attributes() {
        assert_eq!(
            Escaped("<a href='x' b=\"&\">").to_string(),
            "&lt;a href=&#39;x&#39; b=&quot;&amp;&quot;&gt;"
        );
        let shown = "<time datetime=\"2026-11-08T09:02:47Z\">8 November 2026, 09:02 UTC</time>";
        assert_eq!([time("2026-11-08T09:02:47Z"), time("soon")], [shown, "soon"]);
    }
}
