//! The last-known copy in the server program.

mod program_postgres;
