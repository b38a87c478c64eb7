//! The report: a table for readers, lines of JSON for programs.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::machine_load::MachineLoad;

/// The durations of repeated operations, in seconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, seconds: f64) {
        self.0.push(seconds);
    }

    /// Returns the value below which this part of the samples is.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * part).round() as usize]
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    fn minimum(&self) -> f64 {
        self.quantile(0.0)
    }

    /// Returns true if the same work took much longer in some rounds than in others.
    fn are_disturbed(&self) -> bool {
        self.quantile(0.75) > 2.0 * self.quantile(0.25)
    }
}

impl<const N: usize> From<[f64; N]> for Samples {
    fn from(samples: [f64; N]) -> Self {
        Self(samples.into())
    }
}

/// One line of the report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) subject: &'static str,
    pub(crate) what: String,
    pub(crate) flows: u64,
    /// The size of one document.
    pub(crate) bytes: usize,
    pub(crate) tasks: usize,
    /// True if the values are bytes of memory instead of seconds.
    pub(crate) is_memory: bool,
    /// The time of one operation in seconds. For concurrent operations, the total time divided by their number.
    pub(crate) median: f64,
    pub(crate) minimum: f64,
    pub(crate) floor: Option<&'static str>,
    pub(crate) floor_median: Option<f64>,
    pub(crate) ratio: Option<f64>,
    /// The maximum of the ratio, or of the time if there is no floor.
    pub(crate) goal: Option<f64>,
    /// The floor was disturbed, so the ratio is meaningless.
    pub(crate) is_disturbed: bool,
}

impl Row {
    pub(crate) fn new(subject: &'static str, what: impl Into<String>, ours: &Samples) -> Self {
        Self {
            subject,
            what: what.into(),
            flows: 0,
            bytes: 2_000,
            tasks: 1,
            is_memory: false,
            median: ours.median(),
            minimum: ours.minimum(),
            floor: None,
            floor_median: None,
            ratio: None,
            goal: None,
            is_disturbed: false,
        }
    }

    pub(crate) fn of(mut self, flows: u64, bytes: usize, tasks: usize) -> Self {
        (self.flows, self.bytes, self.tasks) = (flows, bytes, tasks);
        self
    }

    pub(crate) fn in_bytes(mut self) -> Self {
        self.is_memory = true;
        self
    }

    pub(crate) fn over(mut self, floor: &'static str, samples: &Samples) -> Self {
        self.floor = Some(floor);
        self.floor_median = Some(samples.median());
        self.ratio = Some(self.median / samples.median());
        self.is_disturbed = samples.are_disturbed();
        self
    }

    pub(crate) fn goal(mut self, at_most: f64) -> Self {
        self.goal = Some(at_most);
        self
    }

    fn show(&self, value: f64) -> String {
        match value {
            bytes if self.is_memory => format!("{:.1} MB", bytes / 1e6),
            seconds if seconds < 1e-3 => format!("{:.1} µs", seconds * 1e6),
            seconds if seconds < 1.0 => format!("{:.2} ms", seconds * 1e3),
            seconds => format!("{seconds:.2} s"),
        }
    }

    fn verdict(&self) -> String {
        let Some(goal) = self.goal else { return String::new() };
        let (value, goal_text) = match self.ratio {
            Some(ratio) => (ratio, format!("≤ {goal:.2}")),
            None => (self.median, format!("≤ {}", self.show(goal))),
        };
        match (self.is_disturbed, value <= goal) {
            (true, _) => format!("{goal_text}: contended, measure again"),
            (false, true) => format!("{goal_text}: met"),
            (false, false) => format!("{goal_text}: missed"),
        }
    }
}

/// Prints the rows while the benchmark runs.
pub(crate) struct Report {
    rows: Vec<Row>,
    lines: Option<File>,
    machine_load: MachineLoad,
}

impl Report {
    pub(crate) fn begin(lines: Option<&Path>) -> Self {
        let lines =
            lines.map(|path| OpenOptions::new().create(true).append(true).open(path).expect("a file for lines"));
        println!("| what | flows | bytes | tasks | median | minimum | floor | its median | ratio | goal |");
        println!("|---|---|---|---|---|---|---|---|---|---|");
        Self { rows: Vec::new(), lines, machine_load: MachineLoad::begin() }
    }

    pub(crate) fn add(&mut self, row: Row) {
        let number = |of: Option<f64>| of.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        println!(
            "| {}: {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            row.subject,
            row.what,
            row.flows,
            row.bytes,
            row.tasks,
            row.show(row.median),
            row.show(row.minimum),
            row.floor.unwrap_or_default(),
            row.floor_median.map(|value| row.show(value)).unwrap_or_default(),
            if row.is_disturbed { "contended".to_owned() } else { number(row.ratio) },
            row.verdict(),
        );
        if let Some(file) = &mut self.lines {
            let line = serde_json::to_string(&row).expect("strings and numbers become JSON");
            writeln!(file, "{line}").expect("a line is written");
        }
        self.rows.push(row);
    }

    /// Prints the exponent of growth of an operation over the number of flows: 0 is constant, 1 is linear. The goal is
    /// the maximum.
    pub(crate) fn add_slope(&self, subject: &str, what: &str, goal: Option<f64>) {
        let rows = self.rows.iter().filter(|row| row.subject == subject && row.what == what && row.flows >= 100);
        let points: Vec<_> = rows.map(|row| ((row.flows as f64).ln(), row.median.ln())).collect();
        if points.len() < 2 {
            return;
        }
        let slope = slope(&points);
        let verdict = goal.map(|goal| format!("≤ {goal:.2}: {}", if slope <= goal { "met" } else { "missed" }));
        println!(
            "| {subject}: {what}, exponent of growth | | | | | | | | {slope:.3} | {} |",
            verdict.unwrap_or_default()
        );
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn end(&self) {
        println!("\n{}", self.machine_load.end());
    }
}

/// Returns the slope of the regression line through the points.
fn slope(points: &[(f64, f64)]) -> f64 {
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let up: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    up / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}
