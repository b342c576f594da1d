use nodedata_core::StreamKind;
use nodedata_dataset::{NullCount, Report};

use crate::human;

/// Features of one stream that are printed; `report.json` has all.
const FEATURES_MAX: usize = 8;

/// What a JSON message holds beside what its schema names: nearly always nothing, as it should be.
const EXTRA: &str = "_extra";

/// A line a stream for rows without a value, and for messages that lack a name; nothing where there are none.
pub(crate) fn told(report: &Report) -> String {
    let mut text = String::new();
    let is_own = |name: &str| name != EXTRA && !StreamKind::ALL.iter().any(|it| it.has_built_in(name));
    for (stream, features) in &report.nulls {
        // What a format never knows of its messages, such as a sequence number, is no gap in them.
        let own = features.iter().filter(|(name, _)| is_own(name));
        let parts: Vec<String> = own.map(|(name, it)| format!("{name} {}", share(*it))).collect();
        text.push_str(&line("nulls", stream, &parts));
    }
    for (stream, ledger) in &report.streams {
        let parts = ledger.absent.iter().map(|(name, n)| format!("{name} in {}", human::plural(*n, "step")));
        text.push_str(&line("absent", stream, &parts.collect::<Vec<_>>()));
    }
    text
}

fn share(count: NullCount) -> String {
    match count.is_all() {
        true => format!("all {}", human::count(count.rows)),
        false => format!("{} of {}", human::count(count.nulls), human::count(count.rows)),
    }
}

fn line(what: &str, stream: &str, parts: &[String]) -> String {
    if parts.is_empty() {
        return String::new();
    }
    let shown = parts[..parts.len().min(FEATURES_MAX)].join(", ");
    let more = match parts.len().saturating_sub(FEATURES_MAX) {
        0 => String::new(),
        n => format!(", and {n} more in report.json"),
    };
    format!("{what} in {stream}: {shown}{more}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_told_and_briefly() {
        assert_eq!(told(&Report::default()), "");
        let mut report = Report::default();
        let count = |nulls| NullCount { nulls, rows: 60 };
        let some = [("state".to_owned(), count(40)), ("sequence".to_owned(), count(60))];
        report.nulls.insert("steps".to_owned(), some.into());
        let many = (0..10).map(|it| (format!("f{it}"), count(60)));
        report.nulls.insert("/many".to_owned(), many.collect());
        report.streams.entry("steps".to_owned()).or_default().absent.insert("state.elbow".to_owned(), 1);
        assert_eq!(
            told(&report),
            "nulls in /many: f0 all 60, f1 all 60, f2 all 60, f3 all 60, f4 all 60, f5 all 60, f6 all 60, \
             f7 all 60, and 2 more in report.json\nnulls in steps: state 40 of 60\n\
             absent in steps: state.elbow in 1 step\n"
        );
    }
}
