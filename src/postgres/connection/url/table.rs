//! The table of connection parameters: which values of each are supported.
//!
//! Every parameter works or is an error. sqlx ignores unknown parameters and logs their values, so it never receives
//! any. The names are those of libpq:
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>.

/// Which values of a parameter are supported.
#[derive(Debug, Clone, Copy)]
pub(super) enum Support {
    /// Every valid value.
    Full,
    /// Only the values that describe what sqlx does anyway.
    Only(&'static [&'static str]),
    /// No value. The text is the remedy.
    Rejected(&'static str),
}

use Support::{Full, Only, Rejected};

static PARAMETERS: &[(&str, Support)] = &[
    ("application_name", Full),
    ("connect_timeout", Full),
    ("dbname", Full),
    ("fallback_application_name", Full),
    ("host", Full),
    ("hostaddr", Full),
    ("options", Full),
    ("password", Full),
    ("pgbouncer", Full),
    ("port", Full),
    ("ssl", Full),
    ("sslcert", Full),
    ("sslkey", Full),
    ("sslmode", Full),
    ("sslrootcert", Full),
    ("statement-cache-capacity", Full),
    ("target_session_attrs", Full),
    ("user", Full),
    ("channel_binding", Only(&["disable", "prefer"])),
    ("client_encoding", Only(&["UTF8", "utf8", "UTF-8", "utf-8"])),
    ("gssencmode", Only(&["disable", "prefer"])),
    ("keepalives", Only(&["0"])),
    ("load_balance_hosts", Only(&["disable"])),
    ("max_protocol_version", Only(&["3.0"])),
    ("min_protocol_version", Only(&["3.0"])),
    ("ssl_min_protocol_version", Only(&["TLSv1", "TLSv1.1", "TLSv1.2"])),
    ("sslcertmode", Only(&["allow"])),
    ("sslcompression", Only(&["0"])),
    ("sslnegotiation", Only(&["postgres"])),
    ("sslsni", Only(&["1"])),
    ("passfile", Rejected("Set the environment variable PGPASSFILE to the path of the file instead.")),
    ("service", Rejected("Put the parameters of the service into the URL instead.")),
    ("servicefile", Rejected("Put the parameters of the service into the URL instead.")),
    ("sslpassword", Rejected("Store the key of `sslkey` without a passphrase, readable by this user only.")),
    ("requiressl", Rejected("Use `sslmode=require` instead.")),
];

/// Returns the name of a parameter in the table, and its support.
pub(super) fn find(name: &str) -> Option<(&'static str, Support)> {
    // sqlx has these spellings in addition.
    let name = match name {
        "ssl-mode" => "sslmode",
        "ssl-root-cert" | "ssl-ca" => "sslrootcert",
        "ssl-cert" => "sslcert",
        "ssl-key" => "sslkey",
        other => other,
    };
    PARAMETERS.iter().find(|(known, _)| *known == name).copied()
}

/// Lists the supported parameters, for the remedy of an unknown one.
pub(super) fn supported_names() -> String {
    let supported = PARAMETERS.iter().filter(|(_, support)| matches!(support, Full | Only(_)));
    supported.map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
