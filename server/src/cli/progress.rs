//! The progress of long operations, on stderr if it is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use strom_server::transfer::Progress;

/// A line that counts flows. It becomes a bar as soon as the number of flows is known.
#[derive(Debug, Clone)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Shows the line with the name of the phase, such as `reading`.
    pub(super) fn start(phase: &'static str) -> Self {
        // Draws to stderr, and nothing if stderr is not a terminal.
        let bar = ProgressBar::no_length().with_message(phase).with_style(style("{spinner} {msg}: {human_pos} flows"));
        // The ticking thread may start only after a short operation has ended.
        bar.tick();
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// Shows the name of the next phase.
    pub(super) fn set_phase(&self, phase: &'static str) {
        self.0.set_message(phase);
    }

    pub(super) fn set(&self, flows: u64) {
        self.0.set_position(flows);
    }

    /// Removes the line.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn read(&self, flows: usize) {
        self.set(flows as u64);
    }

    fn handed_over(&self, flows: usize, of: usize) {
        if self.0.length() != Some(of as u64) {
            self.set_phase("storing");
            self.0.set_style(style("{spinner} {msg} [{bar:40}] {human_pos} of {human_len} flows, {eta}"));
            self.0.set_length(of as u64);
        }
        self.set(flows as u64);
    }

    fn read_back(&self, flows: usize, of: usize) {
        if flows == 1 {
            self.handed_over(0, of);
            self.0.set_message("comparing");
        }
        self.set(flows as u64);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("both templates are constants")
}
