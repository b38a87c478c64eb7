//! Ephemeral flows with the other layers of the server.

mod away;
mod program;
mod pruning;
