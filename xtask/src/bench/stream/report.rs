use std::fmt::Write;

use nodedata_media::video::{DecodeOptions, libavcodec_version};
use serde_json::{Value, json};

use super::{Figures, Job, Kind, LIMIT, Reading, Row, scale};
use crate::{
    bench::{
        measure::median,
        report::{goal_table, mebibytes},
    },
    bench_command::Options,
};

/// How many times as fast as the fastest peer a job has to be.
fn goal_of(kind: Kind, job: Job) -> f64 {
    match (kind, job) {
        (_, Job::Cached) => 20.0,
        (Kind::Jpeg, Job::Windows) => 20.0,
        (Kind::Jpeg, Job::Random) => 3.5,
        (Kind::Jpeg, Job::Episodes) => 4.5,
        (Kind::Av1, Job::Episodes | Job::Windows) => 3.0,
        (Kind::Av1 | Kind::H264 | Kind::Jpeg, Job::Shuffle) | (Kind::Av1, Job::Random) => 1.5,
        // FFmpeg decodes for us too.
        (Kind::H264, _) if has_libavcodec() => 1.5,
        // With the decoder that is built in.
        (Kind::H264, Job::Random) => 0.9,
        (Kind::H264, Job::Episodes) => 1.2,
        (Kind::H264, Job::Windows) => 1.5,
    }
}

fn has_libavcodec() -> bool {
    let chosen = DecodeOptions::default().libavcodec;
    libavcodec_version(&chosen).is_ok_and(|it| it.is_some())
}

/// What a shuffled stream has to reach beside two threads that only decode.
const LIMIT_GOAL: f64 = 0.8;

/// The tables for `docs/performance.md`; nothing when no job was selected.
pub(in crate::bench) fn markdown(figures: &Figures, options: &Options) -> String {
    // Writing to a String cannot fail.
    let mut text = String::new();
    if !figures.rows.is_empty() {
        text.push_str(&table(&figures.rows));
        text.push_str(&goal_table(figures.rows.iter().flat_map(goals)));
        _ = writeln!(
            text,
            "\nMedians of {} runs in turns (ratios: of those within a turn; peaks: the highest, with workers that were started).",
            options.runs
        );
        _ = writeln!(text, "\n{}.", versions(figures).join(", "));
    }
    if !figures.scale.is_empty() {
        text.push_str(&scale::markdown(&figures.scale));
    }
    for remark in &figures.remarks {
        _ = writeln!(text, "\n{remark}");
    }
    text
}

/// What each reader did of each job.
fn table(rows: &[Row]) -> String {
    let mut text = "| set | job | reader | workers | steps/s | steps/CPU-s | peak anonymous MiB | × the fastest peer |\n\
                    | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for row in rows {
        let ratio = row.ratios.peers.map_or_else(|| "–".to_owned(), |it| format!("**{it:.2}**"));
        _ = writeln!(text, "| {} | ours | 0 | {} | {ratio} |", names(row), cells(&row.ours));
        for (peer, readings) in &row.peers {
            let (name, n_workers) = (peer.name, peer.n_workers);
            _ = writeln!(text, "| {} | {name} | {n_workers} | {} | |", names(row), cells(readings));
        }
    }
    text
}

fn names(row: &Row) -> String {
    format!("{} | {}", row.kind.name(), row.job.name())
}

fn cells(readings: &[Reading]) -> String {
    let of = |value: fn(&Reading) -> f64| median(readings.iter().map(value).collect());
    format!(
        "{:.0} | {:.0} | {}",
        of(Reading::steps_per_s),
        of(|it| it.n_steps as f64 / it.cpu_s.max(1e-9)),
        mebibytes(peak(readings)),
    )
}

fn peak(readings: &[Reading]) -> u64 {
    readings.iter().map(|it| it.anon_peak_bytes).max().unwrap_or(0)
}

/// Each goal of a job with what was found, and whether that meets it. What no peer was there for is not told.
fn goals(row: &Row) -> Vec<(String, String, bool)> {
    let name = format!("{} {}", row.kind.name(), row.job.name());
    let mut goals = Vec::new();
    if let Some(found) = row.ratios.peers {
        let least = goal_of(row.kind, row.job);
        goals.push((format!("{name}: ≥ {least} × the fastest peer"), format!("{found:.2}"), found >= least));
    }
    if let Some(found) = row.ratios.limit {
        let goal = format!("{name}: ≥ {LIMIT_GOAL} × two threads of {LIMIT}");
        goals.push((goal, format!("{found:.2}"), found >= LIMIT_GOAL));
    }
    let least = row.peers.iter().filter(|(it, _)| it.name != LIMIT).map(|(_, it)| peak(it)).min();
    if let Some(least) = least {
        let own = peak(&row.ours);
        let goal = format!("{name}: peak anonymous below {} MiB of every peer", mebibytes(least));
        goals.push((goal, format!("{} MiB", mebibytes(own)), own < least));
    }
    goals
}

/// Which readers there were.
fn versions(figures: &Figures) -> Vec<String> {
    let readings =
        figures.rows.iter().flat_map(|it| it.ours.iter().chain(it.peers.iter().flat_map(|it| &it.1)));
    let mut versions: Vec<String> = readings.map(|it| it.version.clone()).collect();
    versions.sort();
    versions.dedup();
    versions
}

/// The same figures for programs.
pub(in crate::bench) fn json(figures: &Figures) -> Value {
    let rows = figures.rows.iter().map(|row| {
        let peers = row.peers.iter().map(|(peer, readings)| json!({"peer": peer, "readings": readings}));
        json!({
            "set": row.kind,
            "job": row.job,
            "ours": row.ours,
            "peers": peers.collect::<Vec<_>>(),
            "ratios": row.ratios,
        })
    });
    json!({"rows": rows.collect::<Vec<_>>(), "scale": figures.scale, "remarks": figures.remarks})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::stream::{Peer, Ratios};

    #[test]
    fn figures_stand_under_their_headings() {
        let version = "1".to_owned();
        let reading = Reading { version, n_steps: 300, wall_s: 2.0, cpu_s: 3.0, anon_peak_bytes: 7 << 20 };
        let peer = Peer { name: "lerobot", n_workers: 2 };
        let row = Row {
            kind: Kind::Jpeg,
            job: Job::Random,
            ours: vec![reading.clone()],
            peers: vec![(peer, vec![reading])],
            ratios: Ratios { peers: Some(1.0), limit: None },
        };
        let text = table(&[row]);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| jpeg | random | ours | 0 | 150 | 100 | 7 | **1.00** |",
                "| jpeg | random | lerobot | 2 | 150 | 100 | 7 | |"
            ]
        );
    }
}
