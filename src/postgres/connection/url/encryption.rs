//! The parameters of TLS.
//!
//! Two modes differ from sqlx, which ignores a part of them. `allow` encrypts if the server supports it, like `prefer`;
//! sqlx would never encrypt. `require` with `sslrootcert` checks the authority, as in libpq.

use std::fs::File;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::parameters::{Given, Parameters};
use super::problem::Problem;

/// How a connection is encrypted.
#[derive(Debug)]
pub(super) struct Encryption {
    mode: PgSslMode,
    root: Option<Certificate>,
    cert: Option<Certificate>,
    key: Option<Certificate>,
}

#[derive(Debug)]
enum Certificate {
    /// The authorities of the system alone.
    System,
    File(String),
    Pem(String),
}

impl Encryption {
    pub(super) fn of(parameters: &Parameters) -> Result<Self, Problem> {
        let given = mode(parameters)?;
        let is_disabled = matches!(given, Some(PgSslMode::Disable));
        let read = |name| certificate(parameters.get(name).filter(|given| !(is_disabled && given.is_variable)), name);
        let (root, cert, key) = (read("sslrootcert")?, read("sslcert")?, read("sslkey")?);
        if cert.is_some() != key.is_some() {
            return Err("a client certificate needs both `sslcert` and `sslkey`".into());
        }
        let is_system = matches!(root, Some(Certificate::System));
        let mode = match (given, &root) {
            (None, Some(Certificate::System)) => PgSslMode::VerifyFull,
            (Some(PgSslMode::Require), Some(_)) if !is_system => PgSslMode::VerifyCa,
            (None | Some(PgSslMode::Allow), _) => PgSslMode::Prefer,
            (Some(mode), _) => mode,
        };
        let is_checked = matches!(mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull);
        // Any owner of a domain has a certificate of an authority of the system, so the name must be checked.
        if is_system && !matches!(mode, PgSslMode::VerifyFull) {
            return Err("`sslrootcert=system` requires `sslmode=verify-full`".into());
        }
        let is_in_url = |name| parameters.get(name).is_some_and(|given| !given.is_variable);
        if !is_checked && is_in_url("sslrootcert") {
            return Err(
                "`sslrootcert` requires `sslmode=verify-full` or `sslmode=verify-ca`: no other mode checks the \
                        certificate of the server"
                    .into(),
            );
        }
        if is_disabled && is_in_url("sslcert") {
            return Err("`sslcert` has no effect with `sslmode=disable`".into());
        }
        Ok(Self { mode, root, cert, key })
    }

    /// Whether the certificate must contain the name of the host.
    pub(super) fn checks_name(&self) -> bool {
        matches!(self.mode, PgSslMode::VerifyFull)
    }

    pub(super) fn apply(&self, options: PgConnectOptions) -> PgConnectOptions {
        let options = options.ssl_mode(self.mode);
        let options = match &self.root {
            // Replaces the file of `PGSSLROOTCERT`. sqlx trusts the authorities of the system in any case.
            Some(Certificate::System) => options.ssl_root_cert_from_pem(Vec::new()),
            Some(Certificate::File(path)) => options.ssl_root_cert(path),
            Some(Certificate::Pem(text)) => options.ssl_root_cert_from_pem(text.clone().into_bytes()),
            None => options,
        };
        let options = match &self.cert {
            Some(Certificate::Pem(text)) => options.ssl_client_cert_from_pem(text),
            Some(Certificate::File(path)) => options.ssl_client_cert(path),
            Some(Certificate::System) | None => options,
        };
        match &self.key {
            Some(Certificate::Pem(text)) => options.ssl_client_key_from_pem(text),
            Some(Certificate::File(path)) => options.ssl_client_key(path),
            Some(Certificate::System) | None => options,
        }
    }
}

/// Returns the mode of `sslmode` and `ssl`. `ssl=true` is the spelling of JDBC, which libpq accepts as well.
fn mode(parameters: &Parameters) -> Result<Option<PgSslMode>, Problem> {
    let mode = match parameters.get("sslmode") {
        Some(Given { value, label, .. }) => Some(value.parse().map_err(|_| {
            let all = "`disable`, `allow`, `prefer`, `require`, `verify-ca`, `verify-full`";
            format!("{label} must be one of {all}")
        })?),
        None => None,
    };
    match (parameters.get("ssl").map(|given| given.value.as_str()), mode) {
        (None, mode) => Ok(mode),
        (Some("true"), None) => Ok(Some(PgSslMode::Require)),
        (Some("true"), Some(PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer)) => {
            Err("`ssl=true` contradicts `sslmode`".into())
        }
        (Some("true"), mode) => Ok(mode),
        (Some(_), _) => Err(Problem::new(
            "`ssl` must be `true`; no other value is supported",
            "Use `sslmode` instead of `ssl`, for example `sslmode=require` or `sslmode=disable`.",
        )),
    }
}

/// Returns a certificate or a key. sqlx would report a missing file as an unreachable server.
fn certificate(given: Option<&Given>, name: &str) -> Result<Option<Certificate>, String> {
    let Some(Given { value, label, .. }) = given else { return Ok(None) };
    if value == "system" && name == "sslrootcert" {
        return Ok(Some(Certificate::System));
    }
    if value.contains("-----BEGIN") {
        return Ok(Some(Certificate::Pem(value.clone())));
    }
    // Without the path: a key that was pasted incompletely must not appear in a log.
    let file = File::open(value).and_then(|file| file.metadata());
    match file {
        Ok(metadata) if metadata.is_dir() => Err(format!("cannot read the file of {label}: it is a directory")),
        Ok(_) => Ok(Some(Certificate::File(value.clone()))),
        Err(error) => Err(format!("cannot read the file of {label}: {error}")),
    }
}
