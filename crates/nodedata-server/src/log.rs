use std::{fmt, sync::Arc};

use serde_json::json;

/// Where the server's own lines go: one JSON object each. They name routes, never paths as they were asked
/// for, and no header: what is secret is not in them.
#[derive(Clone)]
pub struct LogSink(Option<Write>);

type Write = Arc<dyn Fn(&str) + Send + Sync>;

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSink")
    }
}

impl LogSink {
    /// Hands each line to `write`, without a line break.
    pub fn new(write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(write)))
    }

    /// Keeps nothing.
    pub fn none() -> Self {
        Self(None)
    }

    pub(crate) fn write(&self, line: &str) {
        if let Some(write) = &self.0 {
            write(line);
        }
    }

    /// A line that is made only where it is kept.
    pub(crate) fn request<'a>(&self, line: impl FnOnce() -> RequestLine<'a>) {
        let Some(write) = &self.0 else { return };
        let RequestLine { at, method, route, status, millis, who } = line();
        let text =
            json!({"at": at, "method": method, "route": route, "status": status, "ms": millis, "who": who});
        write(&text.to_string());
    }
}

/// What is said about a request.
pub(crate) struct RequestLine<'a> {
    pub(crate) at: String,
    pub(crate) method: &'a str,
    pub(crate) route: &'a str,
    pub(crate) status: u16,
    pub(crate) millis: u64,
    pub(crate) who: &'a str,
}
