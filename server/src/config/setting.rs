//! The description of one setting.

use clap::builder::{OsStringValueParser, StringValueParser};
use clap::{Arg, ArgAction};

/// One entry of the [table of settings](super::table).
#[derive(Debug)]
pub(super) struct Setting {
    /// The flag without its dashes. Also the name in `strom config`.
    pub(super) name: &'static str,
    /// The environment variables. The first one that is set wins.
    pub(super) variables: &'static [&'static str],
    /// `section.key` in a configuration file, if files may contain the setting.
    pub(super) file_key: Option<&'static str>,
    pub(super) kind: Kind,
    /// The placeholder in the help.
    pub(super) value_name: &'static str,
    pub(super) group: Group,
    /// The help without variables and default.
    pub(super) help: &'static str,
    /// The default in words, as `strom config` shows it.
    pub(super) default: &'static str,
    /// The default as the help shows it, if the help words it differently or not at all.
    pub(super) help_default: HelpDefault,
}

/// The form of a value. It selects the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A PostgreSQL URL. Shown without its password.
    DatabaseUrl,
    /// A secret. Never shown.
    Secret,
    /// A path. In a configuration file, it is relative to the directory of that file.
    Path,
    Text,
    Port,
    /// A number from this minimum to one million.
    Number(u32),
    Boolean,
    /// Host names, separated by commas.
    Hosts,
}

/// The heading of a setting in the help.
#[derive(Debug, Clone, Copy)]
pub(super) enum Group {
    Storage,
    Server,
}

/// How the help words the default of a setting.
#[derive(Debug, Clone, Copy)]
pub(super) enum HelpDefault {
    /// As `strom config` does.
    Same,
    /// In other words.
    Worded(&'static str),
    /// Not at all.
    Hidden,
}

impl Setting {
    /// Returns the flag with its dashes.
    pub(super) fn flag(&self) -> String {
        format!("--{}", self.name)
    }

    /// Names the flag and the first variable, for error messages.
    pub(super) fn names(&self) -> String {
        format!("{} or {}", self.flag(), self.variables[0])
    }

    /// Returns the argument for clap.
    pub(super) fn argument(&self) -> Arg {
        let heading = match self.group {
            Group::Storage => "Storage",
            Group::Server => "Server",
        };
        let argument = Arg::new(self.name)
            .long(self.name)
            .help(self.full_help())
            .help_heading(heading)
            .value_name(self.value_name)
            .action(ArgAction::Set)
            .global(true);
        match self.kind {
            Kind::DatabaseUrl | Kind::Secret | Kind::Path => argument.value_parser(OsStringValueParser::new()),
            Kind::Text | Kind::Port | Kind::Number(_) | Kind::Hosts => argument.value_parser(StringValueParser::new()),
            Kind::Boolean => argument
                .value_parser(StringValueParser::new())
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true"),
        }
    }

    fn full_help(&self) -> String {
        let variables = self.variables.join(", ");
        let default = match self.help_default {
            HelpDefault::Same => format!(" [default: {}]", self.default),
            HelpDefault::Worded(default) => format!(" [default: {default}]"),
            HelpDefault::Hidden => String::new(),
        };
        format!("{} [env: {variables}]{default}", self.help)
    }
}
