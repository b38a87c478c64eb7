//! What was done by a switch or a restored archive, for whoever has to prove it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::{DateTime, SubsecRound, Utc};
use serde::Serialize;
use strom::transfer::switch::{Counts, MovedHistories, Outcome, Report};

use super::Failure;
use super::output::{self, say, tell, visible};
use super::switch::SwitchFailure;

/// What was done.
#[derive(Debug, Serialize)]
pub(super) struct Receipt<'a> {
    pub(super) strom: &'static str,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) dry_run: bool,
    pub(super) begun_at: DateTime<Utc>,
    pub(super) ended_at: DateTime<Utc>,
    /// What somebody should look at in one of the storages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) faults: Vec<String>,
    /// Whether somebody has changed the source meanwhile.
    pub(super) source_has_changed: bool,
    #[serde(flatten)]
    pub(super) report: &'a Report,
}

impl Receipt<'_> {
    /// Never over another file.
    pub(super) fn write(&self, path: PathBuf) -> Result<PathBuf, SwitchFailure> {
        let written = || {
            let mut file = File::create_new(&path)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        match written() {
            Ok(()) => Ok(path),
            Err(source) => Err(SwitchFailure::Receipt { path: path.display().to_string(), source }),
        }
    }

    pub(super) fn print(&self, for_machines: bool, is_hindered: bool, written: Option<&Path>) -> Result<(), Failure> {
        let text = if for_machines { output::json(self)? } else { self.told() };
        say(text.trim_end())?;
        if self.source_has_changed {
            tell(
                "warning: the source was changed meanwhile, and that has not moved\nstop whoever writes to it and make the \
                 switch again with --on-conflict replace",
            );
        }
        match written {
            _ if is_hindered && self.faults.is_empty() => tell("nothing was written: flows are in the way"),
            _ if is_hindered => {
                tell("nothing was written: see the faults, or move what can be read with --despite-faults")
            }
            Some(path) => tell(&format!("receipt written to {}", path.display())),
            None if self.dry_run => tell("nothing was written: this was a dry run"),
            None => {}
        }
        Ok(())
    }

    fn told(&self) -> String {
        let Report { counts, obstacles, differences, histories, .. } = self.report;
        let mut text = format!("from     {}\nto       {}\n", self.from, self.to);
        text.extend(self.faults.iter().map(|fault| format!("fault    {}\n", visible(fault))));
        text.extend(obstacles.iter().map(|obstacle| {
            let id = obstacle.id.map(|id| id.to_string()).unwrap_or_default();
            let name = obstacle.name.as_deref().map(|name| format!(" {name:?}")).unwrap_or_default();
            format!("refused  {id}{name}: {}\n", visible(&obstacle.reason))
        }));
        let differences = differences.iter();
        text.extend(differences.map(|flow| format!("differs  {} {:?}: {}\n", flow.id, flow.name, flow.problem)));
        let Counts { created, replaced, unchanged, skipped, others } = *counts;
        let flows = self.report.flows.len();
        text.push_str(&format!(
            "flows    {flows}: {created} created, {replaced} replaced, {unchanged} unchanged, {skipped} skipped; the target \
             alone has {others}\nsha256   {}\n",
            self.report.sha256
        ));
        text.extend(histories.as_ref().map(told_histories));
        let took = (self.ended_at - self.begun_at).as_seconds_f64();
        text.push_str(&format!("time     {took:.1} s, from {}\n", self.begun_at.trunc_subsecs(0)));
        text
    }
}

fn told_histories(histories: &MovedHistories) -> String {
    let MovedHistories { revisions, sha256, deleted, .. } = histories;
    let count = |outcome| deleted.iter().filter(|flow| flow.outcome == outcome).count();
    let (created, unchanged, skipped) = (count(Outcome::Created), count(Outcome::Unchanged), count(Outcome::Skipped));
    format!(
        "deleted  {}: {created} created, {unchanged} unchanged, {skipped} skipped\nhistory  {revisions} revisions\nsha256   \
         {sha256}\n",
        deleted.len()
    )
}
