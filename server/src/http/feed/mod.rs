//! The change feed for clients that stay connected.
//!
//! | file | content |
//! |---|---|
//! | `hub` | the one reader of the repository's feed for all clients |
//! | `page` | changes as clients receive them |
//! | `recent` | the newest part of the feed, in memory |
//! | `follower` | the position of one client, and its next page |
//! | `poll` | one page for a client that waits |
//! | `events` | server-sent events |
//! | `socket`, `socket_event` | WebSockets, and the messages on them |
//! | `streams` | the number of open streams, and their end |

mod events;
mod follower;
mod hub;
mod page;
mod poll;
mod recent;
mod socket;
mod socket_event;
mod streams;

pub(crate) use events::event_stream;
pub(crate) use follower::Follower;
pub(crate) use hub::Hub;
pub(crate) use page::{FeedPage, FeedPart};
pub(crate) use poll::poll;
pub(crate) use socket::{MAX_MESSAGE, READ_BUFFER, SocketSession, socket_part};
pub use streams::Streams;
