//! The flags that every command accepts, and the lookup of settings.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;

use clap::{ArgMatches, Command};

use super::environment::Environment;
use super::error::ConfigError;
use super::setting::{Kind, Setting};
use super::table::ALL;
use super::value::{Origin, Value};

/// The flags of the command line, and the other sources of settings.
///
/// clap only reads the flags. It supports one variable per flag and treats a blank variable as a value, but some settings
/// have two variables, and a blank one counts as not set.
#[derive(Default)]
pub(crate) struct Flags {
    /// The text of each flag, by the name of its setting.
    flags: HashMap<&'static str, OsString>,
    pub(super) environment: Environment,
}

impl Flags {
    /// Reads the environment variables and the configuration files. Returns warnings about the files.
    ///
    /// # Errors
    /// If a configuration file exists and cannot be read or parsed.
    pub(crate) fn load_environment(&mut self) -> Result<Vec<String>, ConfigError> {
        self.environment = Environment::read()?;
        Ok(self.environment.files.iter().flat_map(|file| file.warnings.clone()).collect())
    }

    /// Returns the warnings about variables that are ignored. They concern settings of the server.
    pub(crate) fn ignored_variables(&self) -> &[String] {
        &self.environment.ignored
    }

    /// Returns the effective value of a setting: from the flag, a variable or a file, in this order. Blank values do not
    /// count.
    pub(super) fn value(&self, setting: &Setting) -> Option<Value> {
        let in_files = || self.environment.files.iter().find_map(|file| file.value(setting));
        self.value_above_files(setting).or_else(in_files)
    }

    /// Returns the value of the flag or of the first variable that is set.
    pub(super) fn value_above_files(&self, setting: &Setting) -> Option<Value> {
        let flag = self.flags.get(setting.name).cloned();
        let flag = flag.and_then(|text| Value::unless_blank(Origin::Flag(setting.flag()), text));
        let variable = |name: &&'static str| {
            let text = self.environment.variable(name)?;
            Value::unless_blank(Origin::Variable(name), text)
        };
        flag.or_else(|| setting.variables.iter().find_map(variable))
    }

    pub(super) fn number(&self, setting: &Setting) -> Result<Option<u32>, ConfigError> {
        let minimum = if let Kind::Number(minimum) = setting.kind { minimum } else { 0 };
        self.value(setting).map(|value| value.into_number(minimum)).transpose()
    }

    /// Returns a boolean setting. The default of every boolean is `false`.
    pub(super) fn boolean(&self, setting: &Setting) -> Result<bool, ConfigError> {
        Ok(self.value(setting).map(Value::into_boolean).transpose()?.unwrap_or(false))
    }
}

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        command.args(ALL.iter().map(|setting| setting.argument()))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in ALL {
            if let Some(text) = matches.get_raw(setting.name).and_then(Iterator::last) {
                self.flags.insert(setting.name, text.to_owned());
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Flags {
    /// Prints only which flags are set: a value may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flags").field("flags", &self.flags.keys()).finish_non_exhaustive()
    }
}
