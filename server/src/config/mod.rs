//! The settings. Precedence: flag, environment variable, configuration file, default. A blank value counts as not set.
//!
//! | file | contents |
//! |---|---|
//! | `table` | every setting, described once |
//! | `setting` | the description of one setting, and its argument for clap |
//! | `flags` | the flags of the command line, and the lookup of a setting |
//! | `environment`, `file` | environment variables, and `.strom.toml` |
//! | `value` | a value, its origin, and its parsers |
//! | `storage`, `server` | typed settings of the storage and of the server |
//! | `path` | paths that a person has written: `~/` and URLs |
//! | `report` | the effective settings for `strom config` |

mod environment;
mod error;
mod file;
mod flags;
mod path;
mod report;
mod server;
mod setting;
mod storage;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use self::error::ConfigError;
pub(crate) use self::flags::Flags;
pub(crate) use self::path::{InvalidPath, resolve};
pub(crate) use self::report::{ConfigReport, EffectiveSetting};
pub(crate) use self::server::Server;
