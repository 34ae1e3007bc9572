//! The machine, and what a process takes of it. Reads Linux's `/proc`; elsewhere it knows nothing.

use std::fs::read_to_string;
use std::thread::available_parallelism;

/// One line about the machine and how busy it is with other things.
pub(crate) fn line() -> String {
    let cores = available_parallelism().map_or(0, usize::from);
    let cpu = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cpu = cpu.map_or("unknown processor", |(_, name)| name);
    format!(
        "Machine: {cores} cores ({cpu}), load average {} at the start.",
        load()
    )
}

/// Processes that wanted to run, on average over the last minute.
pub(crate) fn load() -> String {
    let averages = read_to_string("/proc/loadavg").unwrap_or_default();
    averages.split(' ').next().unwrap_or_default().to_owned()
}

/// CPU time that the live threads of a process have taken, in milliseconds.
pub(crate) fn cpu_millis(process: u32) -> Option<f64> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let figures = read_to_string(thread.path().join("schedstat")).ok()?;
        figures.split(' ').next()?.parse::<f64>().ok()
    });
    Some(nanoseconds.sum::<f64>() / 1e6)
}

/// Memory of a process in MB: at present, and at its highest.
pub(crate) fn resident_megabytes(process: u32) -> Option<(f64, f64)> {
    let status = read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: f64 = line
            .trim_start_matches(':')
            .trim()
            .split(' ')
            .next()?
            .parse()
            .ok()?;
        Some(kibibytes * 1024.0 / 1e6)
    };
    Some((field("VmRSS")?, field("VmHWM")?))
}
