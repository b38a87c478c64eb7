//! How long work gets on: on the stderr of a terminal, and nowhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use strom::transfer::Progress;

/// A line that counts flows, and becomes a bar when it is known how many there are. It goes with the value.
#[derive(Debug, Clone)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// `what` is done, said in the present tense.
    pub(super) fn begin(what: &'static str) -> Self {
        // To stderr, and hidden where that is no terminal.
        let bar = ProgressBar::no_length().with_message(what).with_style(style("{spinner} {msg}: {human_pos} flows"));
        // At once: the thread that ticks may come to its turn when short work is done.
        bar.tick();
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// The same flows, another work.
    pub(super) fn go_on(&self, what: &'static str) {
        self.0.set_message(what);
    }

    pub(super) fn set(&self, flows: u64) {
        self.0.set_position(flows);
    }

    /// Takes it from the screen.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn read(&self, flows: usize) {
        self.set(flows as u64);
    }

    fn handed_over(&self, flows: usize, of: usize) {
        if self.0.length() != Some(of as u64) {
            self.go_on("storing");
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
    ProgressStyle::with_template(template).expect("the template is one of the two above")
}
