//! The receipt of a switch or of a restored archive.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SubsecRound, Utc};
use serde::Serialize;
use strom_server::transfer::switch::{MoveOutcome, MovedHistories, SwitchCounts, SwitchReport};
use tempfile::NamedTempFile;

use super::failure::Failure;
use super::output::{eprint, escaped, print, to_json};
use super::switch_failure::SwitchFailure;

/// A record of what a switch or a restore did.
#[derive(Debug, Serialize)]
pub(super) struct Receipt<'a> {
    pub(super) strom: &'static str,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) dry_run: bool,
    pub(super) begun_at: DateTime<Utc>,
    pub(super) ended_at: DateTime<Utc>,
    /// Faults of both storages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) faults: Vec<String>,
    /// Whether another writer changed the source during the switch.
    pub(super) source_has_changed: bool,
    #[serde(flatten)]
    pub(super) report: &'a SwitchReport,
}

impl Receipt<'_> {
    /// Writes the receipt to a new file. Never overwrites a file.
    pub(super) fn write(&self, path: PathBuf) -> Result<PathBuf, SwitchFailure> {
        let write = || {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let mut file = NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            // An interrupted switch leaves no incomplete receipt, which would block the next one.
            Ok::<_, io::Error>(file.persist_noclobber(&path).map(drop)?)
        };
        match write() {
            Ok(()) => Ok(path),
            Err(source) => Err(SwitchFailure::Receipt { path: path.display().to_string(), source }),
        }
    }

    pub(super) fn print(&self, is_json: bool, is_blocked: bool, written: Option<&Path>) -> Result<(), Failure> {
        let text = if is_json { to_json(self)? } else { self.text() };
        print(text.trim_end())?;
        if self.source_has_changed {
            eprint(
                "warning: the source changed during the switch; these changes were not moved\nstop all writers of the \
                 source, then repeat the switch with --on-conflict replace",
            );
        }
        match written {
            _ if is_blocked && self.faults.is_empty() => {
                eprint("nothing was written: the target contains conflicting flows")
            }
            _ if is_blocked => {
                eprint("nothing was written: correct the faults, or move all readable flows with --despite-faults")
            }
            Some(path) => eprint(&format!("receipt written to {}", path.display())),
            None if self.dry_run => eprint("nothing was written: this was a dry run"),
            None => {}
        }
        Ok(())
    }

    fn text(&self) -> String {
        let SwitchReport { counts, obstacles, differences, histories, .. } = self.report;
        let mut text = format!("from     {}\nto       {}\n", self.from, self.to);
        text.extend(self.faults.iter().map(|fault| format!("fault    {}\n", escaped(fault))));
        text.extend(obstacles.iter().map(|obstacle| {
            let id = obstacle.id.map(|id| id.to_string()).unwrap_or_default();
            let name = obstacle.name.as_deref().map(|name| format!(" {name:?}")).unwrap_or_default();
            format!("refused  {id}{name}: {}\n", escaped(&obstacle.reason))
        }));
        let differences = differences.iter();
        text.extend(differences.map(|flow| format!("differs  {} {:?}: {}\n", flow.id, flow.name, flow.problem)));
        let SwitchCounts { created, replaced, unchanged, skipped, others } = *counts;
        let flows = self.report.flows.len();
        text.push_str(&format!(
            "flows    {flows}: {created} created, {replaced} replaced, {unchanged} unchanged, {skipped} skipped; only \
             in the target: {others}\nsha256   {}\n",
            self.report.sha256
        ));
        text.extend(histories.as_ref().map(histories_text));
        let took = (self.ended_at - self.begun_at).as_seconds_f64();
        text.push_str(&format!("time     {took:.1} s, from {}\n", self.begun_at.trunc_subsecs(0)));
        text
    }
}

fn histories_text(histories: &MovedHistories) -> String {
    let MovedHistories { revisions, sha256, deleted, .. } = histories;
    let count = |outcome| deleted.iter().filter(|flow| flow.outcome == outcome).count();
    let (created, unchanged, skipped) =
        (count(MoveOutcome::Created), count(MoveOutcome::Unchanged), count(MoveOutcome::Skipped));
    format!(
        "deleted  {}: {created} created, {unchanged} unchanged, {skipped} skipped\nhistory  {revisions} revisions\nsha256   \
         {sha256}\n",
        deleted.len()
    )
}
