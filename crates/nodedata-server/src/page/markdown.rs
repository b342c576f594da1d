use nodedata_core::visible::visible_lines;
use pulldown_cmark::{CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html::push_html};

/// A card as HTML. What the author wrote as HTML is shown as text; pictures are shown as their description,
/// because loading them would tell others who reads; links lead to the web, to mail, or into the page. What is hidden in it is
/// shown.
pub(super) fn to_html(card: &str) -> String {
    let text = without_front_matter(card);
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES;
    let mut html = String::with_capacity(text.len() * 2);
    push_html(&mut html, Parser::new_ext(text, options).map(harmless));
    visible_lines(&html).into_owned()
}

/// YAML between two lines of `---` at the start is for programs.
fn without_front_matter(card: &str) -> &str {
    let Some(rest) = card.strip_prefix("---\n") else { return card };
    match rest.find("\n---\n") {
        Some(end) => &rest[end + 5..],
        None => card,
    }
}

fn harmless(event: Event<'_>) -> Event<'_> {
    match event {
        // The page has its own heading of the first rank.
        Event::Start(Tag::Heading { level, id, classes, attrs }) => {
            Event::Start(Tag::Heading { level: lower(level), id, classes, attrs })
        }
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(lower(level))),
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url =
                if leads_somewhere_known(link_type, &dest_url) { dest_url } else { CowStr::from("#") };
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        Event::Start(Tag::Image { .. }) => Event::Start(Tag::Emphasis),
        Event::End(TagEnd::Image) => Event::End(TagEnd::Emphasis),
        other => other,
    }
}

fn lower(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H2,
        HeadingLevel::H2 => HeadingLevel::H3,
        HeadingLevel::H3 => HeadingLevel::H4,
        HeadingLevel::H4 => HeadingLevel::H5,
        HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}

fn leads_somewhere_known(link_type: LinkType, url: &str) -> bool {
    if link_type == LinkType::Email {
        return true;
    }
    let known = ["https://", "http://", "mailto:", "#"];
    known.iter().any(|it| url.get(..it.len()).is_some_and(|start| start.eq_ignore_ascii_case(it)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_rendered() {
        let html = to_html(
            "---\ntags:\n- a\n---\n\n# Title\n\n| a | b |\n|---|---|\n| `x` | [y](https://y.example) |\n",
        );
        assert!(html.contains("<h2>Title</h2>") && html.contains("<table>") && !html.contains("tags"));
        assert!(html.contains("href=\"https://y.example\""));
    }

    #[test]
    fn nothing_in_a_card_runs() {
        for card in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<div onclick=\"alert(1)\">\n\nx\n\n</div>",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](data:text/html,<script>1</script>)",
            "[x](&#106;avascript:alert(1))",
            "[x](vbscript:x \"t\")",
            "![x](https://spy.example/x.png)",
            "![x](javascript:alert(1))",
            "<javascript:alert(1)>",
            "[x][1]\n\n[1]: javascript:alert(1)",
            "<iframe src=\"https://x\"></iframe>",
            "\"><script>1</script>",
            "`</code><script>1</script>`",
            "[x](https://a.example/\"onmouseover=alert(1))",
            "[x](https://a.example \"\\\"onmouseover=alert(1)\")",
        ] {
            let html = to_html(card).to_lowercase();
            for tag in html.split('<').skip(1) {
                let tag = tag.split('>').next().unwrap();
                let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
                assert!(
                    ["p", "a", "em", "code", "pre", "h2", "div", "strong", "br"].contains(&name),
                    "`{name}` of {card}: {html}"
                );
                if name == "a" && tag.contains("href") {
                    assert!(
                        ["href=\"#\"", "href=\"https://a.example"].iter().any(|it| tag.contains(it)),
                        "{html}"
                    );
                    assert!(!tag.contains("\"on"), "{html}");
                }
            }
        }
    }
}
