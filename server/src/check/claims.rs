//! Notes about flows that start automatically and claim the same port, name or device.
//!
//! Only one of these flows can run at a time. Flows that do not start automatically are ignored: the operator may have
//! several variants of a flow for one device, and starts one of them.

use super::report::{Finding, Severity};
use crate::claims::Claimants;

/// Maximum number of flows that one note names.
const MAX_NAMED: usize = 10;

/// Returns one note per claim of several flows, ordered by claim. The note names all of these flows and so covers every
/// pair. A note per pair would be quadratic: a thousand flows with one port have half a million pairs.
pub(super) fn notes(claimants: Claimants) -> impl Iterator<Item = Finding> {
    let mut claims: Vec<_> = claimants.into_shared().map(|(claim, flows)| (claim.to_string(), flows)).collect();
    claims.sort_unstable();
    claims.into_iter().filter_map(|(claim, flows)| {
        let [(id, name), others @ ..] = &flows[..] else { return None };
        let named: Vec<_> = others.iter().take(MAX_NAMED).map(|(id, name)| format!("{name:?} ({id})")).collect();
        let more = match others.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(Finding {
            severity: Severity::Note,
            id: Some(*id),
            name: Some(name.clone()),
            problem: format!("{claim} is also claimed by {}{more}", named.join(", ")),
            is_repaired: false,
        })
    })
}
