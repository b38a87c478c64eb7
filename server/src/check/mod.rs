//! Verifies a storage: reads every flow and compares it with its columns and its history.
//!
//! There are three severities:
//!
//! - A *fault* is an error of the storage: a flow that cannot be read or that would be rejected today, columns that differ
//!   from their document, a history that does not end with the current content, or a fault that the storage itself reports.
//! - A *warning* is about the content of one flow, which may be intended: for example a link to a missing node.
//! - A *note* is about several flows: they start automatically and claim the same port, name or device.
//!
//! A repair stores the same document again. This updates the columns, and adds the current content to a history that ends
//! before it. It changes no content: no link is dropped, and an unreadable flow remains. It creates a revision only if the
//! history has another change with the revision of the flow. Older missing revisions cannot be repaired.
//!
//! | file | contents |
//! |---|---|
//! | `scan` | reads all flows and collects findings |
//! | `claims` | flows that claim the same port, name or device |
//! | `histories`, `history` | all histories, and the verification of one |
//! | `repair` | stores a flow again |
//! | `report` | the report |

mod claims;
mod histories;
mod history;
mod repair;
mod report;
mod scan;

pub use self::report::{CheckReport, Finding, Severity};
pub use self::scan::check;
