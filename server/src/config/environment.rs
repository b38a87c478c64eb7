//! The sources of settings other than flags: environment variables and configuration files.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::error::ConfigError;
use super::file::ConfigFile;

/// The variables that start with `STROM_`, and the configuration files in order of precedence.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    variables: HashMap<String, OsString>,
    pub(super) files: Vec<ConfigFile>,
    /// The paths that were searched for configuration files.
    pub(super) searched: Vec<PathBuf>,
}

impl Environment {
    /// Reads the environment of the process.
    pub(super) fn read() -> Result<Self, ConfigError> {
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let variables = variables.filter(|(name, _)| name.starts_with("STROM_")).collect();
        // The engine names the user's file `config.toml`. The name of the file in the working directory is accepted as
        // well.
        let user = etcetera::base_strategy::choose_native_strategy().ok().map(|user| user.config_dir().join("strom"));
        let user = user.iter().flat_map(|directory| ["config.toml", ".strom.toml"].map(|name| directory.join(name)));
        let here = std::path::absolute(".strom.toml").unwrap_or_else(|_| PathBuf::from(".strom.toml"));
        Self::of(variables, std::iter::once(here).chain(user).collect())
    }

    /// Reads the configuration files at these paths. A missing file is not an error.
    pub(super) fn of(variables: HashMap<String, OsString>, searched: Vec<PathBuf>) -> Result<Self, ConfigError> {
        let read = |path: &PathBuf| ConfigFile::read(Path::new(path)).transpose();
        let files = searched.iter().filter_map(read).collect::<Result<_, _>>()?;
        Ok(Self { variables, files, searched })
    }

    pub(super) fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).cloned()
    }
}
