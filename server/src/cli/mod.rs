//! The command line: one file per command.
//!
//! | file | contents |
//! |---|---|
//! | `command_line` | the commands, and their dispatch |
//! | `answer`, `failure` | the outcome of a command: an exit code, or an error with a remedy |
//! | `backup_failure`, `switch_failure` | errors of single commands |
//! | `repository` | opening the storage for a command |
//! | `input`, `output`, `output_file` | reading a document, writing to stdout and stderr, replacing a file |
//! | `output_path` | the path of a file that a command may write |
//! | `save_report`, `edit_saving` | messages about a save, and saving an edit with or without a merge |
//! | `editor`, `progress`, `signals`, `descriptors` | the terminal and the process |
//! | `import_report`, `receipt`, `directory` | the output of `import`, of `switch` and `restore`, and of `export --format dir` |
//! | `omitted` | the flows that `export` omits because they are invalid |
//! | `listen`, `service` | the socket and the access rules of `serve`; the service manager |
//! | `switch_target` | the storages of `switch` |
//! | `revision` | revision numbers |
//! | all others | one command each |

mod answer;
mod backup;
mod backup_failure;
mod check;
mod command_line;
mod completions;
mod config;
mod delete;
mod descriptors;
mod diff;
mod directory;
mod edit;
mod edit_saving;
mod editor;
mod export;
mod failure;
mod get;
mod health;
mod history;
mod import;
mod import_report;
mod input;
mod list;
mod listen;
mod man;
mod migrate;
mod omitted;
mod openapi;
mod output;
mod output_file;
mod output_path;
mod progress;
mod put;
mod receipt;
mod repository;
mod restore;
mod revision;
mod save_report;
mod serve;
mod service;
mod signals;
mod switch;
mod switch_failure;
mod switch_target;
mod trash;
mod undo_edit;
mod watch;

pub(crate) use self::command_line::CommandLine;
