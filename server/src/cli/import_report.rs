//! The output of `strom import`.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use strom_server::transfer::{Counts, FlowReport, Outcome, Report};

use super::output::{Output, eprint, escaped};

/// Maximum number of warnings in the output.
const MAX_WARNINGS: usize = 20;

/// Prints the report in the form of `POST /api/flows/import`.
pub(super) fn print_as_json(out: &mut Output, report: &Report) -> io::Result<()> {
    out.write_all(b"{")?;
    report.write_members(out)?;
    out.write_all(b"}\n")?;
    out.flush()
}

/// Prints the flows that were skipped, cloned, refused or deleted, and the number of flows per outcome. A dry run prints
/// all flows.
pub(super) fn print_report(out: &mut Output, report: &Report) -> io::Result<()> {
    let mut warnings = 0;
    for flow in report.flows() {
        let flow = flow?;
        let is_notable =
            matches!(flow.outcome, Outcome::Skipped | Outcome::Cloned | Outcome::Refused | Outcome::Deleted);
        if (is_notable || report.dry_run) && out.has_reader() {
            let row = row(out, &flow);
            out.write_all(row.as_bytes())?;
        }
        let id = flow.id.as_deref().unwrap_or("-");
        for warning in &flow.warnings {
            if warnings < MAX_WARNINGS {
                eprint(&escaped(&format!("warning: {id} `{}`: {}", warning.path, warning.message)));
            }
            warnings += 1;
        }
    }
    if warnings > MAX_WARNINGS {
        eprint(&format!("warning: and {} more; --json has them", warnings - MAX_WARNINGS));
    }
    let Counts { created, replaced, unchanged, skipped, cloned, refused, deleted } = report.counts;
    let deleted = deleted.map(|deleted| format!(", deleted {deleted}")).unwrap_or_default();
    writeln!(
        out,
        "created {created}, replaced {replaced}, unchanged {unchanged}, skipped {skipped}, cloned {cloned}, refused {refused}{deleted}"
    )?;
    out.flush()
}

fn row(out: &Output, flow: &FlowReport) -> String {
    let (outcome, style) = match flow.outcome {
        Outcome::Created => ("created", AnsiColor::Green.on_default()),
        Outcome::Replaced => ("replaced", AnsiColor::Green.on_default()),
        Outcome::Unchanged => ("unchanged", Style::new()),
        Outcome::Skipped => ("skipped", AnsiColor::Yellow.on_default()),
        Outcome::Cloned => ("cloned", AnsiColor::Yellow.on_default()),
        Outcome::Refused => ("refused", AnsiColor::Red.on_default()),
        Outcome::Deleted => ("deleted", AnsiColor::Red.on_default()),
    };
    let outcome = format!("{outcome:9}");
    let outcome = out.styled(style, &outcome);
    let id = flow.id.as_deref().unwrap_or("-");
    let name = flow.name.as_deref().unwrap_or("-");
    let from = flow.cloned_from.map(|id| format!(", a clone of {id}")).unwrap_or_default();
    let was = flow.revision.map(|revision| format!(", revision {revision}")).unwrap_or_default();
    let why = flow.error.as_ref().or(flow.reason.as_ref()).map(|why| format!(": {why}")).unwrap_or_default();
    format!("{outcome}  {:36}  {}\n", escaped(id), escaped(&format!("{name}{from}{was}{why}")))
}
