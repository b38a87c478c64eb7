//! The schema: what a database must have before it is used, and the migrations that bring it there.

mod ask;
mod damage;
mod dump;
mod indexes;
mod inspect;
mod lock_timeout;
mod migrate;
mod migration;
mod open_error;
mod repair;
mod startup;
mod status;

pub use migration::{Migration, MigrationState};
pub use startup::migrate;
pub use status::{MigrationStatus, migrations};

pub(super) use damage::{Damage, describe, find_damage};
pub(super) use open_error::OpenFailure;
pub(super) use startup::{Started, Startup};
