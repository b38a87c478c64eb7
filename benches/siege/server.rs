//! A real server under siege, watched from outside.

use std::fs;

use reqwest::{Client, Response};

use crate::program::Program;

/// A running server and who asks it.
pub(crate) struct Server {
    program: Program,
    pub(crate) client: Client,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self { program: Program::start("siege", arguments), client: Client::new() }
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

    /// Its memory, and the most it had since [`forget_peak`](Self::forget_peak), in MB
    /// (<https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>).
    pub(crate) fn memory(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.program.child.id())).unwrap();
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
        };
        (megabytes("VmRSS:"), megabytes("VmHWM:"))
    }

    pub(crate) fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.program.child.id()), "5").unwrap();
    }
}
