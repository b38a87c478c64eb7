//! The flows that an export omits, because SQL wrote a document that this version rejects.
//!
//! They do not prevent the export of all other flows, but an incomplete export is not a success: without `--despite-faults` it
//! fails, and an output file remains unchanged.

use strom_store::flow::{Flow, FlowId, Refusal};

use super::answer::Answer;
use super::failure::Failure;
use super::output::{eprint, escaped};

/// The flows that an export omits.
pub(super) struct Omitted {
    despite_faults: bool,
    first: Option<(FlowId, Refusal)>,
}

impl Omitted {
    pub(super) fn none(despite_faults: bool) -> Self {
        Self { despite_faults, first: None }
    }

    /// Omits a flow. Reports it, unless it will be the error of the command.
    pub(super) fn add(&mut self, flow: &Flow, refusal: Refusal) {
        let (head, Refusal { path, reason, .. }) = (flow.head(), &refusal);
        if self.despite_faults || self.first.is_some() {
            let reason = reason.to_string();
            eprint(&format!("omitted: {} {:?}: `{path}`: {}", head.id, head.name, escaped(&reason)));
        }
        self.first.get_or_insert((head.id, refusal));
    }

    /// Returns the outcome of the export.
    pub(super) fn outcome(self) -> Result<Answer, Failure> {
        match self.first {
            None => Ok(Answer::Done),
            Some(_) if self.despite_faults => Ok(Answer::No),
            Some((id, refusal)) => Err(Failure::unreadable(id)(refusal)),
        }
    }
}
