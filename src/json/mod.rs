//! The JSON backend: one file that people can read and edit, with the durability of a database.
//!
//! | module | content |
//! |---|---|
//! | `repository`, `store` | the repository, and the state that readers, writers and upkeep share |
//! | `state` | the flows in memory and the effect of changes |
//! | `writer`, `journal` | a save: one append and one sync, for any number of flows |
//! | `hold` | the locks, and the place for which they are valid |
//! | `file` | `flows.json`: reading and printing |
//! | `history` | the history file, its index, and reading history and feed |
//! | `upkeep` | checkpoints, rotation, compaction, edits by other programs, the place of the files, faults, measurements |
//! | `recovery` | opening a store in any condition |
//!
//! All flows are in memory. Reads do not touch the disk, except for history and feed, and never wait for a write. A
//! write computes its change on a copy of the state that shares everything unchanged. It appends the change to the
//! journal, and only then publishes it to readers. Calls that arrive during a sync share the next one.
//!
//! A checkpoint writes `flows.json` when no saves arrive, at a bounded age under load, and at the close, which fails if
//! it cannot complete the file. It costs the size of the file, so a budget limits checkpoints in proportion to time and to changed
//! bytes (`upkeep::schedule`). Journal and file together are the store: when
//! [`FlowRepository::apply`](crate::repository::FlowRepository::apply) returns, the journal is synced. `recovery::base`
//! finds the version of the file that an edit is based on, and `reconcile` merges the edit with the current flows. While
//! the store is open, it checks the file regularly.
//!
//! A report of an engine is state: its line in the journal makes it durable until a checkpoint has written it to the file. A rotation
//! drops the line and notes the number, time and author of the newest report of each flow, for the feed. So reports cause no
//! growth. It also notes hashes of the runtime members that the file has contained (`Flow::runtime_marks`), to recognise them in an
//! edited file. The history contains one line per revision. It thins out with age
//! ([`Retention`](crate::repository::Retention)): a thread rewrites the file, and saves, edits and the close do not wait for it.
//! An index in memory, of 32 to 64 bytes per record, finds the records of a flow.
//!
//! What a start finds, and what it does:
//!
//! | condition | result |
//! |---|---|
//! | no file, no journal | an empty store, which creates no file before the first save |
//! | no directory | created, for its owner only |
//! | a symbolic link | followed; all other files are next to its target |
//! | a file, no journal, no history | its flows are new, created by the author `file` |
//! | no file or an empty one, and a journal or a history | all flows are restored from there without older reports, and a fault is reported |
//! | an empty file only; not JSON; not a file of flows; a newer version | rejected, nothing is changed |
//! | a flow that cannot be stored, or a duplicate id | quarantined: reported, and kept in the file byte for byte |
//! | a byte order mark, other line ends | accepted |
//! | a file that was edited, or rewritten by an older version | merged flow by flow |
//! | an edit of an earlier version of the file, after a crash | merged with everything that was saved since that version; reports that the journal has dropped are those of the file |
//! | any file, after a close | an edit of the last version, because an operator may have restored it |
//! | a torn end of the journal | cut off: it was never acknowledged |
//! | any other damage of the journal | reported; the valid part is kept, the damaged file is renamed, a new feed begins |
//! | a history that is missing, damaged or short | reported; its revisions are lost, the flows are not; a new feed begins |
//! | a file without write permission | read-only, and a fault is reported |
//! | a directory in which files cannot be created or renamed | read-only and not ready, until the directory is writable |
//! | a file that is mounted by itself | rejected: it cannot be replaced |
//! | a full disk | reads work; saves fail until space is available |
//! | another process has the lock of lock file or journal | waits five seconds, then rejected with process, host and URL |
//! | a temporary file of a killed process | removed |
//!
//! Opening a store read-only shows the result of such a start and writes nothing. It takes no lock: it opens all files,
//! and checks that they were in place at the same time.
//!
//! While the store is open, it handles an edit of the file as after a crash, and saves continue while it reads the file.
//! It reports an edit that cannot be read, and does not write the file until an editor corrects it. It recreates a file,
//! a journal or a lock that was removed.
//!
//! The same path is not the same place. Before each acknowledgement and before each file is replaced, the store checks
//! that its paths lead to the directory, the lock and the journal that it has opened, and that no other program has
//! overwritten the end of the journal. Otherwise it rejects changes, is not ready, and leaves all files unchanged. It
//! writes its flows to `<file>.rescued-<last change>` if the journal can no longer be reached. It continues when the
//! files are back in their place.
//!
//! A checkpoint does not preserve access control lists and extended attributes.

mod blocking;
mod file;
mod history;
mod hold;
mod journal;
mod mutex;
mod paths;
mod recovery;
mod repository;
mod settings;
mod state;
mod store;
mod upkeep;
mod view;
mod writer;

pub(crate) use paths::{files, may_exist};
pub use repository::JsonRepository;
pub use settings::Settings;
