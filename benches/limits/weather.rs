//! Whether the machine had anything else to do (<https://man7.org/linux/man-pages/man5/proc_stat.5.html>).

use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// What may be busy before and after a run that is quoted, in percent of the machine.
const QUIET: f64 = 10.0;

pub(crate) struct Weather {
    busy_before: Option<f64>,
}

impl Weather {
    pub(crate) fn begin() -> Self {
        Self { busy_before: busy() }
    }

    pub(crate) fn end(&self) -> String {
        let (Some(before), Some(after)) = (self.busy_before, busy()) else {
            return "Whether the machine was busy with something else could not be found out.".to_owned();
        };
        let figures = format!("others had {before:.0} % of the machine before the run and {after:.0} % after it");
        match before.max(after) < QUIET {
            true => format!("A quiet run: {figures}."),
            false => format!("NOT a quiet run: {figures}. Its figures are not to be quoted."),
        }
    }
}

/// How much of the machine is at work while we sleep, in percent. What a hypervisor takes away counts.
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
