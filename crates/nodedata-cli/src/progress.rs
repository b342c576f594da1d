use std::{
    io::IsTerminal,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use nodedata_core::Progress;
use serde_json::json;

use crate::{args::ProgressArg, message};

/// Shows a run on stderr.
pub(crate) enum Shown {
    Bar { bar: ProgressBar, records: AtomicU64 },
    Events(Events),
    Nothing,
}

/// One JSON object a second, for scripts.
pub(crate) struct Events {
    started: Instant,
    total: AtomicU64,
    n_bytes: AtomicU64,
    n_records: AtomicU64,
    last: Mutex<Instant>,
}

impl Shown {
    pub(crate) fn new(choice: ProgressArg) -> Self {
        match choice {
            ProgressArg::Auto if std::io::stderr().is_terminal() => {
                let bar = ProgressBar::new(0);
                let style = ProgressStyle::with_template(
                    "{bar:24} {percent:>3} %  {bytes} of {total_bytes}  {binary_bytes_per_sec}  {msg}  ETA {eta}",
                );
                if let Ok(style) = style {
                    bar.set_style(style);
                }
                Self::Bar { bar, records: AtomicU64::new(0) }
            }
            ProgressArg::Auto | ProgressArg::None => Self::Nothing,
            ProgressArg::Json => Self::Events(Events {
                started: Instant::now(),
                total: AtomicU64::new(0),
                n_bytes: AtomicU64::new(0),
                n_records: AtomicU64::new(0),
                last: Mutex::new(Instant::now()),
            }),
        }
    }

    /// Takes the bar away.
    pub(crate) fn done(&self) {
        if let Self::Bar { bar, .. } = self {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Shown {
    fn planned(&self, n_bytes: u64) {
        match self {
            Self::Bar { bar, .. } => bar.set_length(n_bytes),
            Self::Events(events) => {
                events.total.store(n_bytes, Ordering::Relaxed);
                events.print("planned");
            }
            Self::Nothing => {}
        }
    }

    fn advanced(&self, n_bytes: u64, n_records: u64) {
        match self {
            Self::Bar { bar, records } => {
                let all = records.fetch_add(n_records, Ordering::Relaxed) + n_records;
                bar.set_message(format!("{} records", crate::human::count(all)));
                bar.inc(n_bytes);
            }
            Self::Events(events) => {
                events.n_bytes.fetch_add(n_bytes, Ordering::Relaxed);
                events.n_records.fetch_add(n_records, Ordering::Relaxed);
                events.print_when_due();
            }
            Self::Nothing => {}
        }
    }

    fn warned(&self, warning: &str) {
        match self {
            Self::Bar { bar, .. } => bar.suspend(|| message::note(&format!("warning: {warning}"))),
            Self::Events(_) => message::note(&json!({"event": "warning", "message": warning}).to_string()),
            Self::Nothing => message::note(&format!("warning: {warning}")),
        }
    }

    fn finishing(&self) {
        match self {
            Self::Bar { bar, .. } => bar.set_message("writing the index"),
            Self::Events(events) => events.print("finishing"),
            Self::Nothing => {}
        }
    }
}

impl Events {
    fn print_when_due(&self) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.elapsed() >= Duration::from_secs(1) {
            *last = Instant::now();
            self.print("progress");
        }
    }

    fn print(&self, event: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let (done, total) = (self.n_bytes.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        let rate = if seconds > 0.0 { done as f64 / seconds } else { 0.0 };
        let eta = if rate > 0.0 { Some(total.saturating_sub(done) as f64 / rate) } else { None };
        message::note(
            &json!({
                "event": event,
                "bytes": done,
                "bytes_total": total,
                "records": self.n_records.load(Ordering::Relaxed),
                "seconds": seconds,
                "bytes_per_second": rate,
                "eta_seconds": eta,
            })
            .to_string(),
        );
    }
}
