pub(crate) use nodedata_core::human::{bytes, count, plural};
use nodedata_dataset::NotRead;

/// The files of a source that were not read, as a remark with its hint; nothing when there are none.
pub(crate) fn not_read(found: &NotRead) -> String {
    if found.is_empty() {
        return String::new();
    }
    let label = if found.left_out > 0 { "left out" } else { "warning" };
    let hint = found.hint().map_or_else(String::new, |it| format!("hint: {it}\n"));
    format!("{label}: {}\n{hint}", found.sentence())
}
