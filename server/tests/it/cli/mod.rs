//! Runs the commands of the compiled program on each backend and compares exit code, stdout and stderr.

mod backups;
mod documents;
mod editing;
mod exports;
mod health;
mod histories;
mod imports;
mod listing;
mod matrix;
mod mistakes;
mod outputs;
mod patching;
mod pruning;
mod scripts;
mod settings;
pub(crate) mod terminal;
mod undoing;
mod watching;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sqlx::PgConnection;
use tempfile::TempDir;

use crate::serve::{directory, outcome, strom};
use strom_test_support::postgres::Database;

/// Exit code, stdout, stderr.
type Outcome = (Option<i32>, String, String);

/// A storage for commands, and a temporary directory in which they run.
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

    /// Returns the database of the storage.
    pub(crate) fn database(&self) -> &Database {
        self.database.as_ref().unwrap()
    }

    /// Opens a connection to the database of the storage.
    pub(crate) async fn connect(&self) -> PgConnection {
        self.database.as_ref().unwrap().connect().await
    }

    /// Returns the flags that name the storage.
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

    /// Runs a command as [`run`](Self::run) does, with this text on stdin.
    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &str) -> Outcome {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // The command may exit before it reads everything.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        outcome(&child.wait_with_output().unwrap())
    }

    /// Returns stdout of a command that succeeds without other output.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(arguments);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}: {stdout}");
        stdout
    }

    /// Creates a file in the working directory of the commands.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = PathBuf::from(&self.path).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Stores flows with these names and the ids 1, 2, ….
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

/// Returns a document with only an id and a name.
pub(crate) fn document(number: u32, name: &str) -> String {
    format!(r#"{{"id":"{}","name":"{name}"}}"#, id(number))
}

/// Replaces every timestamp with `…`.
pub(crate) fn timeless(text: &str) -> String {
    let is_time = |word: &&str| word.len() >= 20 && word.starts_with("20") && word.ends_with('Z');
    let times: Vec<_> = text.split([' ', '"', '\n']).filter(is_time).collect();
    times.iter().fold(text.to_owned(), |text, time| text.replace(time, "…"))
}

/// Runs each test on an empty storage of each backend.
macro_rules! on_both_backends {
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

on_both_backends! {
    backups::backup_and_restore_preserve_flows_histories_and_deletions,
    backups::restore_does_not_overwrite_changed_flows_by_default,
    backups::restore_of_a_damaged_archive_stores_nothing,
    backups::backup_to_an_unwritable_path_fails_without_leaving_a_file,
    backups::switch_with_history_copies_histories,
    documents::put_get_and_delete_report_revisions,
    documents::failed_preconditions_store_nothing,
    documents::delete_with_a_missing_id_deletes_nothing,
    documents::suspicious_flows_are_stored_with_warnings,
    documents::get_prints_numbers_exactly_as_stored,
    imports::import_accepts_files_directories_and_stdin_together,
    imports::import_with_a_refused_flow_stores_nothing,
    imports::on_conflict_applies_to_flows_with_different_content,
    imports::dry_run_reports_without_writing,
    imports::import_reads_every_supported_format,
    exports::export_is_canonical,
    exports::an_export_can_be_imported_without_loss,
    exports::export_replaces_a_file_atomically,
    exports::export_to_a_directory_updates_only_its_own_files,
    exports::export_reports_unwritable_outputs,
    exports::export_deletes_temporary_files_of_killed_exports,
    outputs::backup_replaces_archives_only,
    outputs::a_dash_is_stdout_and_stdin,
    outputs::urls_are_no_paths_and_the_home_directory_is_expanded,
    histories::history_lists_revisions_newest_first,
    histories::restore_stores_an_older_revision_as_a_new_one,
    histories::trash_lists_deleted_flows_until_they_are_restored,
    histories::diff_prints_readable_changes,
    watching::until_now_prints_existing_changes_and_exits,
    watching::watch_prints_new_changes_until_a_signal,
    editing::edit_stores_the_edited_text,
    editing::rejected_text_remains_in_the_draft,
    editing::edit_conflict_keeps_the_draft_and_suggests_put,
    editing::edit_with_merge_merges_changes_of_different_members,
    editing::reports_during_an_edit_are_preserved,
    patching::diff_patch_prints_a_json_patch,
    pruning::prune_applies_a_directory_to_the_storage,
    pruning::prune_with_a_refused_flow_changes_nothing,
    pruning::deleting_every_flow_requires_prune_all,
    pruning::prune_preserves_runtime_members_of_unchanged_flows,
    pruning::prune_requires_one_directory,
    listing::list_prints_a_table,
    listing::list_json_output_matches_the_api,
    listing::list_filters_sorts_and_pages,
    listing::a_closed_pipe_is_not_an_error,
}
