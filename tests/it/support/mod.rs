//! What tests open and hold.

pub(crate) mod json;
