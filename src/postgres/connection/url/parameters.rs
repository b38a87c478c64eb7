//! The parameters of a database URL and of the environment, each of them checked.

use std::collections::BTreeMap;
use std::time::Duration;

use url::form_urlencoded::parse;

use super::environment::VARIABLES;
use super::problem::Problem;
use super::table::{Support, find, supported_names};
use crate::postgres::connection::target::TargetSessionAttrs;

/// The value of a parameter.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) value: String,
    /// The parameter or the variable, for error messages.
    pub(super) label: String,
    pub(super) is_variable: bool,
}

/// The parameters of a URL, completed by the environment.
#[derive(Default)]
pub(super) struct Parameters {
    given: BTreeMap<&'static str, Given>,
    /// `options` and `options[…]` in the order of the URL, as sqlx reads them.
    pub(super) options: Vec<(String, String)>,
}

impl Parameters {
    /// Reads the query of a URL.
    pub(super) fn of_query(query: &str) -> Result<Self, Problem> {
        let mut parameters = Self::default();
        for (name, value) in parse(query.as_bytes()) {
            if name.starts_with("options[") && name.ends_with(']') || name == "options" {
                parameters.options.push((name.into_owned(), value.into_owned()));
                continue;
            }
            let label = label(&name);
            let repeated = format!("{label} is in the URL twice");
            let given = Given { value: value.into_owned(), label, is_variable: false };
            if parameters.insert(&name, given)?.is_some() {
                return Err(Problem::new(repeated, "Keep one of the two values."));
            }
        }
        Ok(parameters)
    }

    /// Adds the variables of libpq for parameters that the URL omits. Hosts belong together: a URL with a host ignores
    /// `PGHOST` and `PGHOSTADDR`.
    pub(super) fn add_environment(
        &mut self,
        variable: &dyn Fn(&str) -> Option<String>,
        has_host: bool,
    ) -> Result<(), Problem> {
        let has_host = has_host || self.get("host").or(self.get("hostaddr")).is_some();
        let has_ssl = self.get("ssl").is_some();
        for (name, parameter) in VARIABLES {
            let is_overridden = self.get(parameter).is_some()
                || has_host && matches!(*parameter, "host" | "hostaddr")
                || has_ssl && *parameter == "sslmode";
            if let Some(value) = variable(name).filter(|value| !value.is_empty() && !is_overridden) {
                self.insert(parameter, Given { value, label: (*name).to_owned(), is_variable: true })?;
            }
        }
        Ok(())
    }

    /// Inserts a supported parameter. Returns its previous value.
    fn insert(&mut self, name: &str, given: Given) -> Result<Option<Given>, Problem> {
        let label = &given.label;
        match find(name) {
            Some((name, Support::Full)) => Ok(self.given.insert(name, given)),
            Some((_, Support::Only(values))) if !values.contains(&given.value.as_str()) => {
                let values = values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" or ");
                let problem = format!("{label} must be {values}; no other value is supported");
                Err(Problem::new(problem, format!("Correct or remove {label}.")))
            }
            Some((name, Support::Only(_))) => Ok(self.given.insert(name, given)),
            Some((_, Support::Rejected(remedy))) => Err(Problem::new(format!("{label} is not supported"), remedy)),
            None => {
                let remedy = format!("Correct or remove it. Supported parameters: {}.", supported_names());
                Err(Problem::new(format!("{label} is not a supported parameter"), remedy))
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Given> {
        self.given.get(name)
    }

    /// Returns the value of a parameter, unless it is empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).map(|given| given.value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn target(&self) -> Result<Option<TargetSessionAttrs>, String> {
        let Some(Given { value, label, .. }) = self.get("target_session_attrs") else { return Ok(None) };
        value.parse().map(Some).map_err(|values| format!("{label} must be one of {values}"))
    }

    pub(super) fn is_behind_pooler(&self) -> Result<bool, String> {
        let value = self.get("pgbouncer").map_or(Ok(false), |given| given.value.parse());
        value.map_err(|_| "`pgbouncer` must be `true` or `false`".to_owned())
    }

    pub(super) fn connect_timeout(&self) -> Result<Option<Duration>, String> {
        let Some(Given { value, label, .. }) = self.get("connect_timeout") else { return Ok(None) };
        let seconds = value.parse().ok().filter(|seconds| (1..=600).contains(seconds));
        let seconds = seconds.ok_or_else(|| format!("{label} must be a number of seconds from 1 to 600"))?;
        Ok(Some(Duration::from_secs(seconds)))
    }

    pub(super) fn statement_cache_capacity(&self) -> Result<Option<usize>, String> {
        let Some(Given { value, label, .. }) = self.get("statement-cache-capacity") else { return Ok(None) };
        value.parse().map(Some).map_err(|_| format!("{label} must be a number"))
    }
}

/// Names a parameter of the URL. A text that cannot be a name may be a part of a password that is not encoded.
fn label(name: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.[]".contains(c);
    match name.len() <= 60 && !name.is_empty() && name.chars().all(is_name) {
        true => format!("`{name}`"),
        false => "a text after `?` or `&`".to_owned(),
    }
}
