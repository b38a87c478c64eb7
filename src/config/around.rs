//! What else than flags says something about settings.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::ConfigError;
use super::file::ConfigFile;

/// The variables of Strom, and the configuration files that there are, the one that counts more first.
#[derive(Debug, Default)]
pub(crate) struct Around {
    variables: HashMap<String, OsString>,
    pub(super) files: Vec<ConfigFile>,
    /// Where files were looked for.
    pub(super) places: Vec<PathBuf>,
}

impl Around {
    pub(super) fn read() -> Result<Self, ConfigError> {
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let variables = variables.filter(|(name, _)| name.starts_with("STROM_")).collect();
        // The user's one as the engine has it, or under the name that it has elsewhere.
        let user = etcetera::base_strategy::choose_native_strategy().ok().map(|user| user.config_dir().join("strom"));
        let user = user.iter().flat_map(|directory| ["config.toml", ".strom.toml"].map(|name| directory.join(name)));
        let here = std::path::absolute(".strom.toml").unwrap_or_else(|_| PathBuf::from(".strom.toml"));
        Self::of(variables, std::iter::once(here).chain(user).collect())
    }

    pub(super) fn of(variables: HashMap<String, OsString>, places: Vec<PathBuf>) -> Result<Self, ConfigError> {
        let read = |path: &PathBuf| ConfigFile::read(Path::new(path)).transpose();
        let files = places.iter().filter_map(read).collect::<Result<_, _>>()?;
        Ok(Self { variables, files, places })
    }

    pub(super) fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).cloned()
    }
}
