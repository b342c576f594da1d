/// A row of bars, one per count: rows over time. Empty stretches show as a thin red line.
pub(crate) fn timeline(counts: &[u64]) -> String {
    const HEIGHT: f64 = 24.0;
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let width = counts.len().max(1) * 4;
    let mut bars = String::new();
    for (idx, n) in counts.iter().enumerate() {
        let x = idx * 4;
        if *n == 0 {
            bars.push_str(&format!("<rect class=\"none\" x=\"{x}\" y=\"23\" width=\"4\" height=\"1\"/>"));
            continue;
        }
        let tall = (*n as f64 / most * HEIGHT).max(1.0);
        let y = HEIGHT - tall;
        bars.push_str(&format!("<rect x=\"{x}\" y=\"{y:.1}\" width=\"3\" height=\"{tall:.1}\"/>"));
    }
    svg(width, 24, "rows over time", &bars)
}

/// A histogram of intervals: how often, by length, on a logarithmic scale both ways.
pub(crate) fn histogram(intervals: &[(f64, u64)]) -> String {
    const HEIGHT: f64 = 24.0;
    const WIDTH: f64 = 160.0;
    let (Some((first, _)), Some((last, _))) = (intervals.first(), intervals.last()) else {
        return String::new();
    };
    let (from, to) = (first.max(1.0).log2(), last.max(1.0).log2());
    let span = (to - from).max(1.0);
    let log = |n: u64| (n as f64 + 1.0).ln();
    let most = intervals.iter().map(|(_, n)| log(*n)).fold(0.0, f64::max).max(1e-9);
    let mut bars = String::new();
    for (end_ns, n) in intervals {
        let x = (end_ns.max(1.0).log2() - from) / span * (WIDTH - 4.0);
        let tall = (log(*n) / most * HEIGHT).max(1.0);
        let y = HEIGHT - tall;
        bars.push_str(&format!("<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"3\" height=\"{tall:.1}\"/>"));
    }
    svg(160, 24, "intervals by length", &bars)
}

fn svg(width: usize, height: usize, label: &str, inside: &str) -> String {
    format!(
        "<svg role=\"img\" aria-label=\"{label}\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">{inside}</svg>"
    )
}
