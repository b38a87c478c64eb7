//! Query parameters.
//!
//! The server rejects unknown parameters, because a misspelled filter that lists everything does harm. It ignores names that
//! start with `_`: some clients append them to bypass caches.
//!
//! | file | content |
//! |---|---|
//! | `known` | the middleware that rejects unknown names |
//! | `parameters` | names and values, and the parsers of single values |
//! | `filter` | the filters of lists and exports |
//! | `flow_list`, `export`, `import`, `history`, `diff`, `changes`, `trash` | the parameters of one route each |
//! | `merge` | `?merge=auto` of saves |

pub(crate) mod changes;
mod diff;
mod export;
mod filter;
mod flow_list;
pub(crate) mod history;
mod import;
mod known;
mod merge;
mod parameters;
pub(crate) mod trash;

pub(crate) use changes::ChangesQuery;
pub(crate) use diff::DiffQuery;
pub(crate) use export::{ExportQuery, Secrets};
pub(crate) use flow_list::{FlowListQuery, MAX_LIMIT, View};
pub(crate) use history::HistoryQuery;
pub(crate) use import::import_options;
pub(crate) use known::{KnownParameters, check_parameters, is_page};
pub(crate) use merge::edited_revision;
pub(crate) use parameters::revision;
pub(crate) use trash::{TrashCursor, TrashQuery};
