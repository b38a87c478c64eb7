//! The flows in memory and the effect of changes on them. `crate::listing` builds lists of them. No I/O.

mod plan;
mod state_map;

pub(crate) use state_map::{FlowEntry, State};
