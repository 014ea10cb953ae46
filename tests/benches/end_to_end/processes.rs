//! What processes use, as `/proc` tells it.

use std::fs;

/// A process and all below it.
pub fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        for task in tasks(pid) {
            let children = fs::read_to_string(format!("{task}/children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        next += 1;
    }
    all
}

fn tasks(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    tasks.into_iter().flatten().flatten().map(|task| task.path().display().to_string()).collect()
}

/// CPU time of all threads of these processes, in microseconds.
pub fn cpu_micros(pids: &[u32]) -> f64 {
    let tasks = pids.iter().flat_map(|pid| tasks(*pid));
    let nanos = tasks.filter_map(|task| {
        let text = fs::read_to_string(format!("{task}/schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e3
}

/// How often the threads of these processes have gone to sleep, and so were woken.
pub fn sleeps(pids: &[u32]) -> f64 {
    let tasks = pids.iter().flat_map(|pid| tasks(*pid));
    tasks.filter_map(|task| field(&format!("{task}/status"), "voluntary_ctxt_switches:")).sum()
}

/// Memory of these processes in KiB, what they share counted once in all.
pub fn memory(pids: &[u32]) -> f64 {
    pids.iter().filter_map(|pid| field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum()
}

fn field(file: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
