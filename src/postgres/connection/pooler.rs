//! Explains the errors of a pooler that rejects a connection as it is configured. They do not pass by themselves.
//!
//! pgbouncer reports every error with 08P01, also outages of its server, so its text decides:
//! <https://github.com/pgbouncer/pgbouncer/blob/master/src/client.c>.

use sqlx::error::DatabaseError;

/// Returns the reason and the remedy if a pooler has rejected a parameter of the connection.
pub(super) fn explain(error: &sqlx::Error) -> Option<(String, String)> {
    let error = error.as_database_error().filter(|error| is_rejected(*error))?;
    let message = error.message();
    let remedy = if message.contains("no such database") {
        "Check the name of the database in the URL, and the section `[databases]` of pgbouncer.ini."
    } else if message.contains("extra_float_digits") {
        "Add `pgbouncer=true` to the URL if the pooler assigns a connection per transaction. In session mode, set \
         `ignore_startup_parameters = extra_float_digits` in pgbouncer.ini. See docs/pgbouncer.md."
    } else {
        "Remove the parameter from the URL (`options`) and from PGOPTIONS, and set it for the role or the database \
         instead (`ALTER ROLE … SET …`). If the server does not need it, add it to `ignore_startup_parameters` in \
         pgbouncer.ini."
    };
    Some((format!("the pooler rejects the connection: {message}"), remedy.to_owned()))
}

/// Whether the error is final: the pooler rejects every attempt in the same way.
pub(super) fn is_rejected(error: &dyn DatabaseError) -> bool {
    is_rejection(&error.code().unwrap_or_default(), error.message())
}

fn is_rejection(code: &str, message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    // PostgreSQL itself reports an unknown database with 3D000.
    message.contains("startup parameter") || code == "08P01" && message.starts_with("no such database")
}

#[cfg(test)]
mod tests {
    use super::is_rejection;

    #[test]
    fn rejections_differ_from_outages() {
        for final_error in [
            "unsupported startup parameter: extra_float_digits",
            "unsupported startup parameter: options",
            "unsupported startup parameter in options: work_mem",
            "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed",
            "no such database: flows",
        ] {
            assert!(is_rejection("08P01", final_error), "{final_error}");
        }
        for outage in [
            "query_wait_timeout",
            "server login has been failing, try again later (server_login_retry)",
            "pgbouncer cannot connect to server",
            "no more connections allowed (max_client_conn)",
            "server conn crashed?",
            "pooler is shut down",
        ] {
            assert!(!is_rejection("08P01", outage), "{outage}");
        }
    }
}
