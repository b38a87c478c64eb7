//! Bodies for the responses that hyper sends itself, to requests that it cannot parse.
//!
//! hyper has no hook for these responses. They are recognized by their form: no route responds with these status codes and without
//! a body.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use crate::http::respond::{MEDIA_TYPE, Problem, ProblemKind};

/// The replacement of a response, while it is being written.
#[derive(Debug, Default)]
pub(super) struct Replacement(Vec<u8>);

impl Replacement {
    /// Returns the replacement of these bytes, if they are a response of hyper.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes.strip_prefix(b"HTTP/1.1 ")?.strip_suffix(b"\r\n\r\n")?).ok()?;
        let (kind, detail) = match text.get(..3)? {
            "400" => (ProblemKind::MalformedRequest, "the request is not valid HTTP/1.1"),
            "414" => (ProblemKind::UriTooLong, "shorten the URL"),
            "431" => (ProblemKind::HeadTooLarge, "shorten the headers or send fewer"),
            _ => return None,
        };
        let mut lines = text.split("\r\n");
        let (status, has_body) = (lines.next()?, !text.contains("content-length: 0"));
        if has_body || text.contains("content-type") {
            return None;
        }
        let body = Problem::new(kind, detail).document();
        let fields = lines.filter(|line| !line.starts_with("content-length"));
        let mut head = format!("HTTP/1.1 {status}\r\n");
        fields.for_each(|field| head.push_str(&format!("{field}\r\n")));
        head.push_str(&format!("content-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\n\r\n", body.len()));
        Some(Self([head.into_bytes(), body].concat()))
    }

    /// Writes the rest.
    pub(super) fn poll_write<W: AsyncWrite>(
        &mut self,
        mut into: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.0.is_empty() {
            let written = std::task::ready!(into.as_mut().poll_write(cx, &self.0))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.0.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::Replacement;

    #[test]
    fn only_responses_of_hyper_are_replaced() {
        let bare = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        let Replacement(bytes) = Replacement::of(bare.as_bytes()).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ndate: now\r\ncontent-type: "));
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
        assert!(serde_json::from_str::<serde_json::Value>(body).unwrap()["error"].is_string());
        for other in [
            bare.replace("400", "200"),
            bare.replace("length: 0", "length: 7"),
            bare.replace("\r\n\r\n", "\r\n"),
            String::new(),
        ] {
            assert!(Replacement::of(other.as_bytes()).is_none(), "{other}");
        }
    }
}
