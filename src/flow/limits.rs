//! Limits of a flow document.

/// The longest name, in bytes after trimming.
pub const MAX_NAME: usize = 255;
/// The largest document, in bytes of the text that PostgreSQL prints for it (see [`Head::size`](super::Head::size)):
/// 16 MiB.
pub const MAX_SIZE: usize = 16 * 1024 * 1024;
/// The deepest nesting of objects and arrays. The document itself is the first level.
pub const MAX_DEPTH: usize = 128;
