//! The sources of settings other than flags: environment variables and configuration files.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::error::ConfigError;
use super::file::ConfigFile;
use super::setting::Kind;
use super::table::ALL;

/// The schemes of the addresses that Kubernetes writes into variables of every service, such as
/// `STROM_PORT=tcp://10.43.0.7:8080` for a service named `strom`.
/// Source: <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>.
const SERVICE_SCHEMES: [&str; 3] = ["tcp://", "udp://", "sctp://"];

/// The variables that start with `STROM_`, and the configuration files in order of precedence.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    variables: HashMap<String, OsString>,
    /// The directory that a service manager has created for the data of this service.
    pub(super) state_directory: Option<PathBuf>,
    /// The warnings about variables that are ignored.
    pub(super) ignored: Vec<String>,
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
        let environment = Self::of(variables, std::iter::once(here).chain(user).collect())?;
        // Source: <https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#RuntimeDirectory=>. A unit with
        // several directories separates them with colons.
        let directories = std::env::var_os("STATE_DIRECTORY").unwrap_or_default();
        let state_directory = std::env::split_paths(&directories).next().filter(|path| path.is_absolute());
        Ok(Self { state_directory, ..environment })
    }

    /// Reads the configuration files at these paths. A missing file is not an error.
    pub(super) fn of(mut variables: HashMap<String, OsString>, searched: Vec<PathBuf>) -> Result<Self, ConfigError> {
        let read = |path: &PathBuf| ConfigFile::read(Path::new(path)).transpose();
        let files = searched.iter().filter_map(read).collect::<Result<_, _>>()?;
        let ignored = remove_service_addresses(&mut variables);
        Ok(Self { variables, state_directory: None, ignored, files, searched })
    }

    pub(super) fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).cloned()
    }
}

/// Removes ports that are the address of a Kubernetes service. Returns a warning about each.
fn remove_service_addresses(variables: &mut HashMap<String, OsString>) -> Vec<String> {
    let is_address = |value: &OsString| {
        let value = value.to_string_lossy();
        SERVICE_SCHEMES.iter().any(|scheme| value.trim_start().starts_with(scheme))
    };
    let ports = ALL.iter().filter(|setting| setting.kind == Kind::Port);
    let names = ports.flat_map(|setting| setting.variables.iter().map(|name| (*name, setting.flag())));
    names
        .filter(|(name, _)| variables.get(*name).is_some_and(is_address) && variables.remove(*name).is_some())
        .map(|(name, flag)| {
            format!(
                "{name} is ignored: it contains the address of a Kubernetes service, not a port; set the port with \
                 {flag}, or set `enableServiceLinks: false` in the pod"
            )
        })
        .collect()
}
