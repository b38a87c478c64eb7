//! Explains TLS errors: the reason, and the remedy.

use std::io;

/// Returns the reason and the remedy if the error is about TLS.
pub(crate) fn explain(error: &sqlx::Error) -> Option<(String, String)> {
    let reason = match error {
        sqlx::Error::Tls(error) => error.to_string(),
        // The first bytes that are sent start the handshake, so its failure is an error of the stream.
        sqlx::Error::Io(error) if is_rejected_certificate(error) => error.to_string(),
        _ => return None,
    };
    let remedy = if reason.contains("does not support TLS") {
        "Enable TLS on the server (`ssl = on` in postgresql.conf). In a trusted network, you can weaken the \
         requirement in the URL instead: `sslmode=prefer` or `sslmode=disable`."
    } else if reason.contains("not valid for name") {
        "`sslmode=verify-full` requires that the server's certificate names the host of the URL. `sslmode=verify-ca` only \
         checks that the authority in `sslrootcert` has signed the certificate."
    } else {
        "Set the certificate of the authority that signed the server's certificate in the URL: \
         `sslrootcert=/path/root.pem`. Without it, only the system's authorities are trusted."
    };
    Some((format!("cannot establish a secure connection: {reason}"), remedy.to_owned()))
}

/// Whether one side rejected the other's certificate. Such an error does not pass by itself.
pub(super) fn is_rejected_certificate(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData && error.to_string().contains("certificate")
}
