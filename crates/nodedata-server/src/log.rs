use std::{fmt, sync::Arc};

use serde_json::json;

/// Where the server's own lines go: one JSON object each. They name routes, never paths as they were asked
/// for, and no header: what is secret is not in them.
#[derive(Clone)]
pub struct LogSink(Arc<dyn Fn(&str) + Send + Sync>);

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSink")
    }
}

impl LogSink {
    /// Hands each line to `write`, without a line break.
    pub fn new(write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }

    /// Keeps nothing.
    pub fn none() -> Self {
        Self::new(|_| ())
    }

    pub(crate) fn write(&self, line: &str) {
        (self.0)(line);
    }

    pub(crate) fn request(&self, line: &RequestLine<'_>) {
        let RequestLine { at, method, route, status, millis, who } = line;
        let text =
            json!({"at": at, "method": method, "route": route, "status": status, "ms": millis, "who": who});
        self.write(&text.to_string());
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
