//! `strom edit`: opens a flow in an editor and stores the result.
//!
//! The storage is closed while the editor runs, because an edit may take hours. The edited text survives every error: its
//! file is deleted only after the text was stored or if it was not changed.

use clap::Args;
use strom_store::Flow;
use strom_store::flow::{FlowId, Runtime};
use strom_store::repository::Outcome;

use super::answer::Answer;
use super::directory;
use super::edit_saving::{Edit, Saved};
use super::editor::{Draft, confirm, is_interactive};
use super::failure::Failure;
use super::output::{eprint, print};
use super::repository::{Purpose, with_storage};
use super::save_report::outcome_line;
use crate::config::Flags;

const EXAMPLES: &str = "\
The editor is $VISUAL, otherwise $EDITOR, otherwise vi. The command stores the edited text if the
flow is still at the revision that was read. Otherwise it keeps the text in a file and prints the
path.

Examples:
  strom edit 6f1d3c5e-0000-4000-8000-000000000001
  strom edit 6f1d3c5e-0000-4000-8000-000000000001 --merge
  EDITOR='code --wait' strom edit 6f1d3c5e-0000-4000-8000-000000000001";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Flow to edit
    id: FlowId,

    /// If the flow changed in the meantime, merge both edits unless they overlap
    #[arg(long)]
    merge: bool,
}

pub(super) async fn run(flags: &Flags, Arguments { id, merge }: Arguments) -> Result<Answer, Failure> {
    let found = with_storage(flags, Purpose::Read, async |repository| Ok(repository.get(id).await?)).await?;
    let Some(base) = found else {
        eprint(&format!("there is no flow {id}"));
        return Ok(Answer::No);
    };
    let text = base.item.pretty().map_err(Failure::unreadable(id))? + "\n";
    let draft = Draft::create(&directory::slug(&base.item.head().name), text).map_err(Failure::Draft)?;
    let edited = match edit(&draft, id).await {
        Ok(edited) => edited,
        Err(failure) => return Err(draft.keep(failure)),
    };
    if draft.is_unchanged() || edited.canonical(Runtime::Include) == base.item.canonical(Runtime::Include) {
        draft.discard();
        print(&outcome_line(Outcome::Unchanged, id, Some(base.version.revision)))?;
        return Ok(Answer::Done);
    }
    let edit = Edit { revision: base.version.revision, base: &base.item, yours: &edited, merge };
    match with_storage(flags, Purpose::Change, async |repository| edit.store(repository).await).await {
        Ok(Saved::Yes) => {
            draft.discard();
            Ok(Answer::Done)
        }
        Ok(Saved::No(commands)) => {
            eprint(&format!("nothing was stored; your text was saved in {}", draft.name()));
            commands.iter().for_each(|command| eprint(&format!("{command} {}", draft.name())));
            Ok(Answer::No)
        }
        Err(failure) => Err(draft.keep(failure)),
    }
}

/// Runs the editor and returns the edited flow. On a terminal, the operator may correct an invalid text.
async fn edit(draft: &Draft, id: FlowId) -> Result<Flow, Failure> {
    loop {
        draft.edit().await?;
        let failure = match read(draft, id) {
            Ok(flow) => return Ok(flow),
            Err(failure) => failure,
        };
        if !is_interactive() {
            return Err(failure);
        }
        eprint(&format!("error: {failure}"));
        if !confirm("edit it again?").await? {
            return Err(Failure::NotCorrected);
        }
    }
}

fn read(draft: &Draft, id: FlowId) -> Result<Flow, Failure> {
    let flow = Flow::parse(&draft.read()?).map_err(|refusal| Failure::Refused { file: draft.name(), refusal })?;
    match flow.id() == id {
        true => Ok(flow),
        false => Err(Failure::ChangedId(flow.id())),
    }
}
