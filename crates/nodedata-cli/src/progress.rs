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
use serde_json::{Value, json};

use crate::{args::ProgressArg, interrupt, message};

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

/// The bar that is on the terminal.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes to stderr with the bar, if there is one, out of the way: what is told stands above it, whole.
pub(crate) fn above_bar(write: impl FnOnce()) {
    let bar = BAR.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

fn set_bar(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = bar;
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
                set_bar(Some(bar.clone()));
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
            set_bar(None);
            bar.finish_and_clear();
        }
    }
}

/// Whoever fails leaves no bar behind.
impl Drop for Shown {
    fn drop(&mut self) {
        self.done();
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
            Self::Events(_) => print(&json!({"event": "warning", "message": warning})),
            Self::Bar { .. } | Self::Nothing => message::note(&format!("warning: {warning}")),
        }
    }

    fn is_stopped(&self) -> bool {
        interrupt::is_asked_for()
    }

    fn finishing(&self) {
        interrupt::is_looked_for_no_more();
        match self {
            Self::Bar { bar, .. } => bar.set_message("writing the index"),
            Self::Events(events) => events.print("finishing"),
            Self::Nothing => {}
        }
    }
}

/// Prints an event. Numbers and texts alone cannot fail to be written as JSON.
fn print(event: &Value) {
    if let Ok(line) = message::json_line(event) {
        message::to_stderr(&line);
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
        print(&json!({
            "event": event,
            "bytes": done,
            "bytes_total": total,
            "records": self.n_records.load(Ordering::Relaxed),
            "seconds": seconds,
            "bytes_per_second": rate,
            "eta_seconds": eta,
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use indicatif::{ProgressDrawTarget, TermLike};

    use super::*;

    /// A terminal of one line that remembers what was done to it.
    #[derive(Debug, Clone, Default)]
    struct Told(Arc<Mutex<Vec<String>>>);

    impl Told {
        fn note(&self, what: &str) -> io::Result<()> {
            self.0.lock().unwrap().push(what.to_owned());
            Ok(())
        }
    }

    impl TermLike for Told {
        fn width(&self) -> u16 {
            80
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.note(text)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.note(text)
        }

        fn clear_line(&self) -> io::Result<()> {
            self.note("<clear>")
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_told_stands_above_the_bar_and_not_in_it() {
        let told = Told::default();
        let bar =
            ProgressBar::with_draw_target(Some(3), ProgressDrawTarget::term_like(Box::new(told.clone())));
        bar.set_style(ProgressStyle::with_template("the bar {pos}").unwrap());
        let shown = Shown::Bar { bar: bar.clone(), records: AtomicU64::new(0) };
        set_bar(Some(bar.clone()));
        bar.tick();
        told.0.lock().unwrap().clear();
        above_bar(|| told.note("a line").unwrap());
        let seen = told.0.lock().unwrap().clone();
        let at = |what: &str| seen.iter().position(|it| it.contains(what)).unwrap();
        assert!(at("<clear>") < at("a line") && at("a line") < at("the bar 0"), "{seen:?}");

        // Without a bar nothing is cleared or drawn.
        drop(shown);
        told.0.lock().unwrap().clear();
        above_bar(|| told.note("another line").unwrap());
        assert_eq!(*told.0.lock().unwrap(), ["another line"]);
    }
}
