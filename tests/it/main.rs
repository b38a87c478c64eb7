//! Tests of the whole, in one binary.

mod json_contract;
mod json_file;
mod json_refusals;
mod model;
mod samples;
mod support;
