//! Logs and metrics of requests.
//!
//! | file | content |
//! |---|---|
//! | `request_id` | the header `X-Request-Id` |
//! | `request_metrics` | the counter of requests |
//! | `trace` | the span and the log line of each request |

pub(crate) mod request_id;
mod request_metrics;
mod trace;

pub(crate) use request_metrics::count_request;
pub(crate) use trace::{log_response, request_span, shortened};
