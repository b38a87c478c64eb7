//! How the backend works beside its address.

use super::DatabaseUrl;
use crate::repository::Retention;

/// How the backend works beside its address. The default is what a program wants that fails where there is no database.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How much history is kept.
    pub retention: Retention,
    /// Where the schema is brought up to date, when not at the address of everything else: a pooler that hands out its
    /// connections by the transaction cannot carry the locks of a migration.
    pub migrations: Option<DatabaseUrl>,
    /// Whether it only reads, which a standby can serve, never migrates, and refuses every change. A JSON file cannot be
    /// opened so: what it holds is in the file and the journal together, which change while one Strom has them and are set
    /// right by whoever opens them next. Nobody can read both beside it, and to open them without it is to write.
    pub read_only: bool,
    /// Whether it opens although nobody answers at the address, and is away until somebody does.
    pub opens_while_away: bool,
}
