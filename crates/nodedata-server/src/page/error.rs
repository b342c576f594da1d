use crate::{
    page::html::{Escaped, page_of},
    refusal::Refusal,
    reply::Reply,
};

/// A refusal for people. It says what the refusal says and nothing more of what was asked: a page that differs between
/// what is hidden and what is not there would tell which it is.
pub(crate) fn error_page(refusal: &Refusal) -> Reply {
    let problem = &refusal.problem;
    let place = problem.place.as_ref().map_or_else(String::new, |it| format!("<p>At {}.</p>\n", Escaped(it)));
    // Without a token it speaks of headers, to programs.
    let fix = problem.fix.as_ref().filter(|_| problem.status != 401);
    let fix = fix.map_or_else(String::new, |it| format!("<p>What to do: {}.</p>\n", Escaped(it)));
    let log_in = match problem.status {
        401 | 403 | 404 => {
            "<p>Some of what is here is shown only to those who <a href=\"/login\">log in</a>.</p>\n"
        }
        _ => "",
    };
    let title = Escaped(&problem.title);
    let body = format!("<h1>{title}</h1>\n{place}{fix}{log_in}<p><a href=\"/\">All datasets</a></p>\n");
    let page = page_of(None, false, &problem.title, &body);
    refusal.told_by(page)
}
