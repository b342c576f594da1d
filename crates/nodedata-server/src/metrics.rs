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

    /// What waits in the database, in the same format.
    pub(crate) fn waiting(letters: u64, intents: u64, revocations: u64) -> String {
        let mut text = String::new();
        for (name, help, value) in [
            ("nodedata_hook_events_waiting", "Events in the outbox.", letters),
            (
                "nodedata_records_unsettled",
                "Records of which nobody knows whether they were written.",
                intents,
            ),
            (
                "nodedata_revocations_not_apart",
                "Things taken back that the store does not know.",
                revocations,
            ),
        ] {
            push(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"));
        }
        text
    }

    /// In Prometheus' text format.
    pub(crate) fn render(&self, now: &Now<'_>) -> String {
        let mut text = String::from(
            "# HELP nodedata_requests_total Requests by route and status.\n# TYPE nodedata_requests_total counter\n",
        );
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
        text.push_str("# HELP nodedata_request_seconds How long requests took.\n# TYPE nodedata_request_seconds histogram\n");
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
            push(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"));
        }
        text.push_str("# HELP nodedata_anonymous_denials_total What those without a token were not let.\n# TYPE nodedata_anonymous_denials_total counter\n");
        for (action, reason, n) in &now.denials {
            let labels = format!("action=\"{action}\",reason=\"{reason}\"");
            push(&mut text, format_args!("nodedata_anonymous_denials_total{{{labels}}} {n}"));
        }
        text.push_str("# HELP nodedata_limit What the server gives, in bytes, seconds and numbers.\n# TYPE nodedata_limit gauge\n");
        for (name, value) in now.limits.listed() {
            push(&mut text, format_args!("nodedata_limit{{limit=\"{name}\"}} {value}"));
        }
        let quotas = [("account", now.quotas.bytes_per_account), ("dataset", now.quotas.bytes_per_dataset)];
        text.push_str(
            "# HELP nodedata_quota_bytes How much each may hold.\n# TYPE nodedata_quota_bytes gauge\n",
        );
        for (of, bytes) in quotas.into_iter().filter_map(|(of, bytes)| Some((of, bytes?))) {
            push(&mut text, format_args!("nodedata_quota_bytes{{of=\"{of}\"}} {bytes}"));
        }
        text
    }

    fn counted(&self, now: &Now<'_>) -> [(&'static str, &'static str, &'static str, u64); 16] {
        let load = |it: &AtomicU64| it.load(Ordering::Relaxed);
        let connections = now.connections;
        [
            ("nodedata_requests_in_flight", "gauge", "Requests under way.", load(&self.in_flight)),
            ("nodedata_blob_bytes_in_total", "counter", "Bytes of blobs that came in.", load(&self.bytes_in)),
            (
                "nodedata_blob_bytes_out_total",
                "counter",
                "Bytes of blobs that went out.",
                load(&self.bytes_out),
            ),
            (
                "nodedata_gate_denials_total",
                "counter",
                "Gated bytes asked for without a grant.",
                load(&self.gate_denials),
            ),
            ("nodedata_commits_total", "counter", "Records added to logs.", load(&self.commits)),
            ("nodedata_hook_events_total", "counter", "Events that hooks took.", load(&self.hooks_sent)),
            (
                "nodedata_hook_failures_total",
                "counter",
                "Tries that hooks did not take.",
                load(&self.hooks_failed),
            ),
            (
                "nodedata_list_steps_total",
                "counter",
                "Steps of the catalog's database for lists.",
                load(&self.list_steps),
            ),
            ("nodedata_cost_total", "counter", "Units of cost used.", load(&self.cost)),
            (
                "nodedata_rate_refusals_total",
                "counter",
                "Requests beyond their asker's rate.",
                load(&self.rate_refusals),
            ),
            ("nodedata_connections", "gauge", "Connections open.", connections.n_open()),
            (
                "nodedata_connections_refused_total",
                "counter",
                "Connections and requests for which there was no room.",
                load(&connections.refused),
            ),
            (
                "nodedata_connections_displaced_total",
                "counter",
                "Connections closed to make room for others.",
                load(&connections.displaced),
            ),
            (
                "nodedata_connections_overdue_total",
                "counter",
                "Connections closed because they did not move.",
                load(&connections.overdue),
            ),
            ("nodedata_bodies_bytes", "gauge", "Memory for bodies of requests.", now.bodies_bytes),
            ("nodedata_answers_bytes", "gauge", "Memory for what is sent.", now.answers_bytes),
        ]
    }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}
