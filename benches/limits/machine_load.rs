//! The processor load of other programs before and after a run
//! (<https://man7.org/linux/man-pages/man5/proc_stat.5.html>).

use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// The maximum load before and after a valid run, in percent of the machine.
const QUIET: f64 = 10.0;

pub(crate) struct MachineLoad {
    busy_before: Option<f64>,
}

impl MachineLoad {
    pub(crate) fn begin() -> Self {
        Self { busy_before: busy() }
    }

    pub(crate) fn end(&self) -> String {
        let (Some(before), Some(after)) = (self.busy_before, busy()) else {
            return "The load of other programs is unknown, because /proc/stat cannot be read.".to_owned();
        };
        let figures =
            format!("other programs used {before:.0} % of the machine before the run and {after:.0} % after it");
        match before.max(after) < QUIET {
            true => format!("A quiet run: {figures}."),
            false => format!("NOT a quiet run: {figures}. Do not quote its figures."),
        }
    }
}

/// Returns the load during one second of sleep, in percent. Includes time that a hypervisor takes away.
fn busy() -> Option<f64> {
    let before = counters()?;
    sleep(Duration::from_secs(1));
    let after = counters()?;
    let passed = |index: usize| after.get(index).zip(before.get(index)).map_or(0, |(after, before)| after - before);
    let all: u64 = (0..8).map(passed).sum();
    let idle = passed(3) + passed(4);
    Some(100.0 * (all - idle) as f64 / all as f64)
}

fn counters() -> Option<Vec<u64>> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().next()?.split_whitespace().skip(1).map(|number| number.parse().ok()).collect()
}
