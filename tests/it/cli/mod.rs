//! The commands of the real program, over each backend: whole answers, and exit codes.

mod backups;
mod documents;
mod editing;
mod exports;
mod histories;
mod imports;
mod listing;
mod matrix;
mod mistakes;
mod patching;
mod pruning;
mod scripts;
mod settings;
mod terminal;
mod watching;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sqlx::PgConnection;
use tempfile::TempDir;

use crate::serve::{directory, outcome, strom};
use crate::support::postgres::Database;

/// Exit code, stdout, stderr.
type Outcome = (Option<i32>, String, String);

/// A storage that commands are run on, and a directory for their files.
pub(crate) struct Store {
    storage: [String; 2],
    _directory: TempDir,
    path: String,
    database: Option<Database>,
}

impl Store {
    pub(crate) fn json() -> Self {
        let (directory, path) = directory();
        let storage = ["--flows-path".to_owned(), format!("{path}/store/flows.json")];
        Self { storage, _directory: directory, path, database: None }
    }

    pub(crate) async fn postgres() -> Self {
        let (directory, path) = directory();
        let database = Database::migrated().await;
        let storage = ["--database-url".to_owned(), database.url()];
        Self { storage, _directory: directory, path, database: Some(database) }
    }

    /// To its database.
    pub(crate) async fn connect(&self) -> PgConnection {
        self.database.as_ref().unwrap().connect().await
    }

    /// The flags that name the storage.
    pub(crate) fn flags(&self) -> [&str; 2] {
        [&self.storage[0], &self.storage[1]]
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = strom(&[&self.flags(), arguments].concat(), &[]);
        command.current_dir(&self.path);
        command
    }

    /// Runs `strom` with the flags of the storage and these arguments.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        outcome(&self.command(arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// As [`run`](Self::run), with this on stdin.
    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &str) -> Outcome {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // It may end before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        outcome(&child.wait_with_output().unwrap())
    }

    /// What it prints when it is done and has nothing else to say.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(arguments);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}: {stdout}");
        stdout
    }

    /// A file for a command.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = PathBuf::from(&self.path).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Stores flows of these names, whose ids end with 1, 2, ….
    pub(crate) fn fill(&self, names: &[&str]) {
        for (number, name) in (1..).zip(names) {
            let (code, _, stderr) = self.run_with(&["put", "-"], &document(number, name));
            assert_eq!((code, stderr.as_str()), (Some(0), ""));
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(&self.path).join(name)
    }
}

pub(crate) fn id(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// The smallest document.
pub(crate) fn document(number: u32, name: &str) -> String {
    format!(r#"{{"id":"{}","name":"{name}"}}"#, id(number))
}

/// With its time, which nobody knows, replaced by dots.
pub(crate) fn timeless(text: &str) -> String {
    let is_time = |word: &&str| word.len() >= 20 && word.starts_with("20") && word.ends_with('Z');
    let times: Vec<_> = text.split([' ', '"', '\n']).filter(is_time).collect();
    times.iter().fold(text.to_owned(), |text, time| text.replace(time, "…"))
}

/// Runs each function over an empty storage of each backend.
macro_rules! over_both_storages {
    ($($module:ident::$test:ident,)*) => {
        mod json {
            $(#[test]
            fn $test() {
                super::$module::$test(&super::Store::json());
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$module::$test(&super::Store::postgres().await);
            })*
        }
    };
}

over_both_storages! {
    backups::an_archive_brings_everything_back,
    backups::what_is_there_is_not_overwritten,
    backups::nothing_is_restored_of_a_damaged_archive,
    backups::an_archive_that_cannot_be_written_leaves_nothing,
    backups::a_switch_takes_histories_along,
    documents::a_flow_is_put_shown_and_deleted,
    documents::conditions_hold_or_nothing_is_stored,
    documents::all_are_deleted_or_none,
    documents::what_is_suspicious_is_told_and_stored,
    documents::numbers_are_printed_as_they_were_written,
    imports::files_directories_and_stdin_are_one_import,
    imports::what_is_refused_is_told_and_nothing_is_stored,
    imports::policies_decide_about_other_contents,
    imports::a_dry_run_says_what_would_be_done,
    imports::every_shape_is_understood,
    exports::a_file_is_canonical,
    exports::what_came_out_goes_in_again,
    exports::a_file_is_replaced_at_once,
    exports::a_directory_has_a_file_per_flow,
    exports::outputs_that_cannot_be_written_are_named,
    histories::revisions_are_shown_newest_first,
    histories::a_flow_becomes_what_it_was,
    histories::deleted_flows_are_found_and_brought_back,
    histories::differences_are_told_in_words,
    watching::changes_that_were_made_are_shown,
    watching::changes_are_followed_until_a_signal,
    editing::what_the_editor_saves_is_stored,
    editing::what_cannot_be_stored_is_kept,
    editing::who_is_too_late_loses_nothing,
    editing::edits_of_different_parts_are_merged,
    editing::reports_of_the_meantime_stay,
    patching::a_patch_makes_the_later_revision,
    pruning::a_directory_is_applied,
    pruning::all_is_applied_or_nothing,
    pruning::not_every_flow_is_deleted_unless_told,
    pruning::reports_stay_until_a_flow_is_replaced,
    pruning::only_a_directory_says_what_is_to_be_there,
    listing::flows_are_shown_in_a_table,
    listing::machines_get_json,
    listing::filters_orders_and_pages,
    listing::a_reader_may_leave,
}
