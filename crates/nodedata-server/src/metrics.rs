use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{connections::Connections, limits::Limits, quota::Quotas};

/// Upper ends of the buckets of the histogram, in seconds.
const SECONDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];

/// What the server counts. Labels are routes and codes only: nothing of a dataset is in them.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, &'static str, u16), u64>>,
    buckets: [AtomicU64; SECONDS.len()],
    n_timed: AtomicU64,
    micros: AtomicU64,
    /// Requests that are under way.
    pub(crate) in_flight: AtomicU64,
    /// Bytes of blobs that came in.
    pub(crate) bytes_in: AtomicU64,
    /// Bytes of blobs that went out.
    pub(crate) bytes_out: AtomicU64,
    /// Gated bytes that were asked for and not given.
    pub(crate) gate_denials: AtomicU64,
    /// Records that were added to logs.
    pub(crate) commits: AtomicU64,
    /// Events that hooks took.
    pub(crate) hooks_sent: AtomicU64,
    /// Tries of events that hooks did not take.
    pub(crate) hooks_failed: AtomicU64,
    /// Steps that the catalog's database took for lists.
    pub(crate) list_steps: AtomicU64,
    /// Requests that a thread of the runtime has answered, as nobody was to be waited for.
    pub(crate) at_once: AtomicU64,
    /// Units of cost that were used.
    pub(crate) cost: AtomicU64,
    /// Requests that would have cost more than their asker had.
    pub(crate) rate_refusals: AtomicU64,
}

/// What others count, at the moment.
pub(crate) struct Now<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) quotas: Quotas,
    pub(crate) connections: &'a Connections,
    /// Of those without a token: action, reason, number.
    pub(crate) denials: Vec<(String, String, u64)>,
    pub(crate) bodies_bytes: u64,
    pub(crate) answers_bytes: u64,
    /// Events in the outbox.
    pub(crate) letters: u64,
    /// Records of which nobody knows whether they were written.
    pub(crate) intents: u64,
    /// Things taken back that the store does not know.
    pub(crate) revocations: u64,
}

impl Metrics {
    pub(crate) fn request(&self, method: &'static str, route: &'static str, status: u16, took: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route, method, status)).or_default() += 1;
        drop(requests);
        for (bucket, limit) in self.buckets.iter().zip(SECONDS) {
            if took.as_secs_f64() <= limit {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.n_timed.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// In Prometheus' text format.
    pub(crate) fn render(&self, now: &Now<'_>) -> String {
        let mut text = String::new();
        head(&mut text, "nodedata_requests_total", "counter", "Requests by route and status.");
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for ((route, method, status), n) in requests.iter() {
            push(
                &mut text,
                format_args!(
                    "nodedata_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}} {n}"
                ),
            );
        }
        drop(requests);
        let load = |it: &AtomicU64| it.load(Ordering::Relaxed);
        head(&mut text, "nodedata_request_seconds", "histogram", "How long requests took.");
        for (bucket, limit) in self.buckets.iter().zip(SECONDS) {
            push(
                &mut text,
                format_args!("nodedata_request_seconds_bucket{{le=\"{limit}\"}} {}", load(bucket)),
            );
        }
        push(
            &mut text,
            format_args!("nodedata_request_seconds_bucket{{le=\"+Inf\"}} {}", load(&self.n_timed)),
        );
        push(&mut text, format_args!("nodedata_request_seconds_sum {}", load(&self.micros) as f64 / 1e6));
        push(&mut text, format_args!("nodedata_request_seconds_count {}", load(&self.n_timed)));
        for (name, kind, help, value) in self.counted(now) {
            head(&mut text, name, kind, help);
            push(&mut text, format_args!("{name} {value}"));
        }
        let help = "What those without a token were not let.";
        head(&mut text, "nodedata_anonymous_denials_total", "counter", help);
        for (action, reason, n) in &now.denials {
            let labels = format!("action=\"{action}\",reason=\"{reason}\"");
            push(&mut text, format_args!("nodedata_anonymous_denials_total{{{labels}}} {n}"));
        }
        head(&mut text, "nodedata_limit", "gauge", "What the server gives, in bytes, seconds and numbers.");
        for (name, value) in now.limits.listed() {
            push(&mut text, format_args!("nodedata_limit{{limit=\"{name}\"}} {value}"));
        }
        let quotas = [("account", now.quotas.bytes_per_account), ("dataset", now.quotas.bytes_per_dataset)];
        head(&mut text, "nodedata_quota_bytes", "gauge", "How much each may hold.");
        for (of, bytes) in quotas.into_iter().filter_map(|(of, bytes)| Some((of, bytes?))) {
            push(&mut text, format_args!("nodedata_quota_bytes{{of=\"{of}\"}} {bytes}"));
        }
        text
    }

    /// Name, kind, help and value of what is one number.
    fn counted(&self, now: &Now<'_>) -> [(&'static str, &'static str, &'static str, u64); 20] {
        let counter = |name, help, it: &AtomicU64| (name, "counter", help, it.load(Ordering::Relaxed));
        let gauge = |name, help, value| (name, "gauge", help, value);
        let Now { connections, .. } = now;
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        [
            gauge("nodedata_requests_in_flight", "Requests under way.", in_flight),
            counter("nodedata_blob_bytes_in_total", "Bytes of blobs that came in.", &self.bytes_in),
            counter("nodedata_blob_bytes_out_total", "Bytes of blobs that went out.", &self.bytes_out),
            counter(
                "nodedata_gate_denials_total",
                "Gated bytes asked for without a grant.",
                &self.gate_denials,
            ),
            counter("nodedata_commits_total", "Records added to logs.", &self.commits),
            counter("nodedata_hook_events_total", "Events that hooks took.", &self.hooks_sent),
            counter("nodedata_hook_failures_total", "Tries that hooks did not take.", &self.hooks_failed),
            counter(
                "nodedata_list_steps_total",
                "Steps of the catalog's database for lists.",
                &self.list_steps,
            ),
            counter(
                "nodedata_requests_at_once_total",
                "Requests that were answered without waiting for disk or database.",
                &self.at_once,
            ),
            counter("nodedata_cost_total", "Units of cost used.", &self.cost),
            counter(
                "nodedata_rate_refusals_total",
                "Requests beyond their asker's rate.",
                &self.rate_refusals,
            ),
            gauge("nodedata_connections", "Connections open.", connections.n_open()),
            counter(
                "nodedata_connections_refused_total",
                "Connections and requests for which there was no room.",
                &connections.refused,
            ),
            counter(
                "nodedata_connections_displaced_total",
                "Connections closed to make room for others.",
                &connections.displaced,
            ),
            counter(
                "nodedata_connections_overdue_total",
                "Connections closed because they did not move.",
                &connections.overdue,
            ),
            gauge("nodedata_bodies_bytes", "Memory for bodies of requests.", now.bodies_bytes),
            gauge("nodedata_answers_bytes", "Memory for what is sent.", now.answers_bytes),
            gauge("nodedata_hook_events_waiting", "Events in the outbox.", now.letters),
            gauge(
                "nodedata_records_unsettled",
                "Records of which nobody knows whether they were written.",
                now.intents,
            ),
            gauge(
                "nodedata_revocations_not_apart",
                "Things taken back that the store does not know.",
                now.revocations,
            ),
        ]
    }
}

/// What a name counts, before its numbers.
fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    push(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}
