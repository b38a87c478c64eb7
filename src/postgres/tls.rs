//! Why a secure connection was not made, and what to do about it.

use std::io;

/// The reason and the remedy, where an error is about TLS.
pub(super) fn explain(error: &sqlx::Error) -> Option<(String, String)> {
    let reason = match error {
        sqlx::Error::Tls(error) => error.to_string(),
        // The handshake is made by the first bytes that are sent, so what it refuses comes as an error of the stream.
        sqlx::Error::Io(error) if is_refused_certificate(error) => error.to_string(),
        _ => return None,
    };
    let remedy = if reason.contains("does not support TLS") {
        "Turn TLS on in the server (`ssl = on` in postgresql.conf), or, in a network that nobody else can read, ask for \
         less in the URL: `sslmode=prefer`, `sslmode=disable`."
    } else if reason.contains("not valid for name") {
        "With `sslmode=verify-full` the host in the URL is one that the server's certificate names. `sslmode=verify-ca` \
         asks only who has signed it, the authority in `sslrootcert`."
    } else {
        "Name the certificate of the authority that has signed the server's in the URL: `sslrootcert=/path/root.pem`. \
         Without it the authorities of the system are the known ones."
    };
    Some((format!("no secure connection: {reason}"), remedy.to_owned()))
}

/// Whether the other side was not trusted, which does not pass by itself.
pub(super) fn is_refused_certificate(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData && error.to_string().contains("certificate")
}
