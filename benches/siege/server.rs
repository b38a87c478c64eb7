//! The attacked server, and measurements of its memory.

use std::fs;

use reqwest::{Client, Response};

use crate::program::Program;

/// A running server and a client.
pub(crate) struct Server {
    program: Program,
    pub(crate) client: Client,
}

impl Server {
    pub(crate) fn start(storage: &str, arguments: &[&str]) -> Self {
        Self { program: Program::start(&format!("siege-{storage}"), arguments), client: Client::new() }
    }

    pub(crate) fn address(&self) -> &str {
        &self.program.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    /// Returns the memory, and the peak since [`reset_peak`](Self::reset_peak), in MB
    /// (<https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>).
    pub(crate) fn memory(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.program.child.id())).unwrap();
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
        };
        (megabytes("VmRSS:"), megabytes("VmHWM:"))
    }

    /// Resets the peak memory.
    pub(crate) fn reset_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.program.child.id()), "5").unwrap();
    }
}
