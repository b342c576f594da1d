//! Storms: many writers, readers and collections at once while processes are killed, and a network that breaks off. What must
//! hold afterwards is said in `docs/reliability.md`; each test prints how often it tried and how many faults there were.

mod commands;
mod cuts;
mod kills;
mod proxy;
mod weather;

/// Whether the storms are long.
fn is_long() -> bool {
    std::env::var_os("NODEDATA_TEST_LONG").is_some_and(|it| it != "0")
}

/// A number that somebody asks for by a variable, or the one that a test has of itself.
fn asked(variable: &str, short: u64, long: u64) -> u64 {
    let asked =
        std::env::var(variable).ok().map(|it| it.parse().unwrap_or_else(|_| panic!("{variable}: {it}")));
    asked.unwrap_or(if is_long() { long } else { short })
}
