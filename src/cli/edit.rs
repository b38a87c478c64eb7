//! `strom edit`: a flow in the editor, stored where nobody was faster.
//!
//! The storage is not held while the editor runs, which may be for hours. What somebody has typed is lost by nothing: its file
//! goes only when it is stored, or nothing was changed.

use clap::Args;
use strom::Flow;
use strom::flow::{FlowId, Runtime};
use strom::repository::Outcome;

use super::editor::{Draft, agrees, is_attended};
use super::opening::{Purpose, with_storage};
use super::output::{say, tell};
use super::put::shown;
use super::saving::{Edit, Stored};
use super::signals::Signals;
use super::{Answer, Failure, directory};
use crate::config::Flags;

const EXAMPLES: &str = "The editor is $VISUAL, else $EDITOR, else vi. What it saves is stored if the flow is still at the revision that was
read. What is not stored is kept in a file, and it is told which.

Examples:
  strom edit 6f1d3c5e-0000-4000-8000-000000000001
  strom edit 6f1d3c5e-0000-4000-8000-000000000001 --merge
  EDITOR='code --wait' strom edit 6f1d3c5e-0000-4000-8000-000000000001";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The flow
    id: FlowId,

    /// Where somebody else was faster, bring both edits together if they have changed different things
    #[arg(long)]
    merge: bool,
}

pub(super) async fn run(flags: &Flags, Arguments { id, merge }: Arguments) -> Result<Answer, Failure> {
    let found = with_storage(flags, Purpose::Read, async |repository| Ok(repository.get(id).await?)).await?;
    let Some(base) = found else {
        tell(&format!("there is no flow {id}"));
        return Ok(Answer::No);
    };
    let text = base.item.pretty().map_err(|refusal| Failure::Unreadable { id, refusal })? + "\n";
    let draft = Draft::begin(&directory::slug(&base.item.head().name), text).map_err(Failure::NoDraft)?;
    let edited = match written(&draft, id).await {
        Ok(edited) => edited,
        Err(failure) => return Err(draft.kept(failure)),
    };
    if draft.is_unchanged() || edited.canonical(Runtime::Kept) == base.item.canonical(Runtime::Kept) {
        draft.discard();
        say(&shown(Outcome::Unchanged, id, Some(base.version.revision)))?;
        return Ok(Answer::Done);
    }
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    let edit = Edit { revision: base.version.revision, base: &base.item, yours: &edited, merge };
    let storing = with_storage(flags, Purpose::Change, async |repository| edit.store(repository).await);
    let stored = tokio::select! {
        stored = storing => stored,
        () = signals.next() => Err(Failure::StoringStopped),
    };
    match stored {
        Ok(Stored::Yes) => {
            draft.discard();
            Ok(Answer::Done)
        }
        Ok(Stored::No(ways_on)) => {
            tell(&format!("nothing was stored; what you wrote is kept in {}", draft.name()));
            ways_on.iter().for_each(|way| tell(&format!("{way} {}", draft.name())));
            Ok(Answer::No)
        }
        Err(failure) => Err(draft.kept(failure)),
    }
}

/// What comes out of the editor. Who sits at a terminal may correct what cannot be stored.
async fn written(draft: &Draft, id: FlowId) -> Result<Flow, Failure> {
    loop {
        draft.edit().await?;
        let failure = match read(draft, id) {
            Ok(flow) => return Ok(flow),
            Err(failure) => failure,
        };
        if !is_attended() {
            return Err(failure);
        }
        tell(&format!("error: {failure}"));
        if !agrees("edit it again?").await? {
            return Err(Failure::NotCorrected);
        }
    }
}

fn read(draft: &Draft, id: FlowId) -> Result<Flow, Failure> {
    let flow = Flow::parse(&draft.read()?).map_err(|refusal| Failure::Refused { file: draft.name(), refusal })?;
    match flow.id() == id {
        true => Ok(flow),
        false => Err(Failure::OtherFlow(flow.id())),
    }
}
