use std::{
    fs::File,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::remove;
use crate::workspace::{self, Result};

/// What one run of a command needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Time on the clock, in seconds.
    pub(super) wall_s: f64,
    /// User and system time of all its threads, in seconds.
    pub(super) cpu_s: f64,
    /// Peak of the resident set, mapped files included, in bytes.
    pub(super) rss_peak_bytes: u64,
    /// Peak of the resident memory that is no file's, seen every few milliseconds, in bytes; 0 where
    /// the system does not tell. The best guess at the heap when the command does not tell it itself.
    pub(super) anon_peak_bytes: u64,
}

/// How often the memory of a running command is looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(5);

/// Memory that a job takes for anything but the file it writes, roughly.
const OTHER_BYTES: u64 = 256 << 20;

/// Makes the ground even for a job that is going to write `n_bytes`: what earlier ones left to the disk is written, and
/// pages of memory are free that have been in use. What the host of a virtual machine has yet to give out takes longer
/// to write than all else here, and only whoever comes first would pay for it.
///
/// # Errors
/// When the file that takes the pages cannot be written.
pub(super) fn even_ground(folder: &Path, n_bytes: u64) -> Result<()> {
    let path = folder.join("free-pages.bin");
    let failed = |err: std::io::Error| format!("cannot write {}: {err}", path.display());
    let mut file = File::create(&path).map_err(failed)?;
    std::io::copy(&mut std::io::repeat(1).take(n_bytes + OTHER_BYTES), &mut file).map_err(failed)?;
    std::fs::remove_file(&path).map_err(failed)?;
    drop(file);
    // After the removals: the disk is told of them as well.
    nix::unistd::sync();
    Ok(())
}

/// Runs a command below a process of its own: what a process has waited for is added up over its
/// life, so only a fresh one can tell the peak of a single child.
///
/// # Errors
/// When the command fails, with what it said on stderr.
pub(super) fn in_own_process(command: &[String]) -> Result<Measured> {
    in_own_process_with(command, &[])
}

/// What a script of Python says of its own work, which it writes as JSON to `target`, beside what its process took. The file is
/// removed.
///
/// # Errors
/// When the command fails, or what it wrote is something else.
pub(super) fn told_by<T: DeserializeOwned>(command: &[String], target: &Path) -> Result<(T, Measured)> {
    let measured = in_own_process(command)?;
    let failed = |err: &dyn std::fmt::Display| format!("cannot read {}: {err}", target.display());
    let text = std::fs::read(target).map_err(|err| failed(&err))?;
    let told = serde_json::from_slice(&text).map_err(|err| failed(&err))?;
    remove(target)?;
    Ok((told, measured))
}

/// As [`in_own_process`], in an environment that has `variables`, too.
///
/// # Errors
/// When the command fails, with what it said on stderr.
pub(super) fn in_own_process_with(command: &[String], variables: &[(&str, &str)]) -> Result<Measured> {
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let mut measure = Command::new(own);
    measure.args(["bench-job", "measure", "--"]).args(command).envs(variables.iter().copied());
    let json = workspace::stdout_of(&mut measure)?;
    serde_json::from_str(&json).map_err(|err| format!("cannot read a measurement: {err}"))
}

/// Runs a command, waits for it and prints a [`Measured`] as JSON.
///
/// # Errors
/// When the command cannot be started or fails.
pub(super) fn run_and_print(command: &[String]) -> Result<()> {
    let measured = run(command)?;
    println!("{}", serde_json::to_string(&measured).map_err(|err| err.to_string())?);
    Ok(())
}

fn run(command: &[String]) -> Result<Measured> {
    let (program, arguments) = command.split_first().ok_or("no command to measure")?;
    let started = Instant::now();
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|err| format!("cannot start {program}: {err}"))?;
    let status_path = format!("/proc/{}/status", child.id());
    let is_over = AtomicBool::new(false);
    let (output, wall_s, anon_peak_bytes) = std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = 0;
            while !is_over.load(Ordering::Relaxed) {
                let status = std::fs::read_to_string(&status_path).unwrap_or_default();
                peak = peak.max(anonymous_bytes(&status));
                std::thread::sleep(SAMPLE_EVERY);
            }
            peak
        });
        let output = child.wait_with_output();
        let wall_s = started.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        (output, wall_s, sampler.join().unwrap_or(0))
    });
    let output = output.map_err(|err| format!("cannot wait for {program}: {err}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} ended with {}\n{}", command.join(" "), output.status, stderr.trim_end()));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|err| format!("cannot ask for usage: {err}"))?;
    let cpu_us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Measured {
        wall_s,
        cpu_s: cpu_us as f64 / 1e6,
        rss_peak_bytes: u64::try_from(usage.max_rss()).unwrap_or(0) * MAX_RSS_UNIT,
        anon_peak_bytes,
    })
}

/// `ru_maxrss` counts kilobytes, except on macOS.
const MAX_RSS_UNIT: u64 = if cfg!(target_os = "macos") { 1 } else { 1024 };

/// `RssAnon` of a `/proc/<pid>/status`; 0 where it is missing.
fn anonymous_bytes(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|it| it.trim().strip_suffix(" kB"))
        .and_then(|it| it.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

/// The median; 0 of nothing.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// The median of each time, and the highest of each peak.
pub(super) fn median_of(runs: &[Measured]) -> Measured {
    let median = |of: fn(&Measured) -> f64| median(runs.iter().map(of).collect());
    Measured {
        wall_s: median(|it| it.wall_s),
        cpu_s: median(|it| it.cpu_s),
        rss_peak_bytes: runs.iter().map(|it| it.rss_peak_bytes).max().unwrap_or(0),
        anon_peak_bytes: runs.iter().map(|it| it.anon_peak_bytes).max().unwrap_or(0),
    }
}

/// The reading in the middle by one of its figures, whole: its figures belong together. `None` of nothing.
pub(super) fn middle<T>(mut readings: Vec<T>, figure: fn(&T) -> f64) -> Option<T> {
    readings.sort_by(|one, two| figure(one).total_cmp(&figure(two)));
    let middle = readings.len() / 2;
    (middle < readings.len()).then(|| readings.swap_remove(middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_peaks() {
        let run = |wall_s, rss_peak_bytes| Measured { wall_s, rss_peak_bytes, ..Measured::default() };
        assert_eq!(median_of(&[run(3.0, 1), run(1.0, 9), run(2.0, 5)]), run(2.0, 9));
        assert_eq!(median_of(&[run(1.0, 0), run(2.0, 0)]).wall_s, 1.5);
    }

    #[test]
    fn the_reading_in_the_middle_is_whole() {
        let readings = vec![("slow", 3.0), ("middle", 2.0), ("fast", 1.0)];
        assert_eq!(middle(readings, |it| it.1), Some(("middle", 2.0)));
        assert_eq!(middle(Vec::<f64>::new(), |it| *it), None);
    }

    #[test]
    fn anonymous_memory_is_read() {
        assert_eq!(anonymous_bytes("VmRSS:\t 10 kB\nRssAnon:\t    4 kB\n"), 4096);
        assert_eq!(anonymous_bytes("VmRSS:\t 10 kB\n"), 0);
    }

    #[test]
    fn a_failing_command_is_a_failure() {
        assert!(run(&["false".to_owned()]).is_err());
        assert!(run(&["true".to_owned()]).is_ok());
    }
}
