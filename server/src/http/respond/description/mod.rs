//! Descriptions of responses, which the `utoipa::path` annotations of the routes name.

pub(crate) mod examples;
pub(crate) mod headers;
mod problem_sets;
mod responses;
pub(crate) mod schemas;

pub(crate) use problem_sets::{
    Bodies, Checks, Conditional, Creates, Engine, FeedPosition, Headers, Imports, NoEntry, OnFlow, OnId, OpenStreams,
    Parameters, Past, Patches, Problems, Reads, SameId, Sockets, Writes, responses,
};
pub(crate) use responses::{Created, Deleted, ListNotModified, ListOfFlows, OneFlow, Saved, Unauthorized};
