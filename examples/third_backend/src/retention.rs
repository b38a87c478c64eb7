//! Which records expire.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use strom_store::FlowId;
use strom_store::repository::{Operation, Retention, Revision};

use crate::log::Log;

impl Log {
    /// Deletes the records that [`Retention`] does not require.
    pub(crate) fn apply_retention(&mut self, retention: Retention) {
        let Some(newest) = self.records.get(&self.last) else { return };
        // The age is counted from the last change: a backend does not read the clock.
        let since = newest.at.checked_sub_signed(retention.age).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let from = self.first_required(retention, since);
        let is_required = |id, revision| from.get(&id).is_some_and(|from| revision >= *from);
        let thinned = self.thinned(retention, newest.at);
        let expired: Vec<u64> = (self.records.iter())
            .filter(|(number, record)| **number != self.last && record.at < since)
            .filter(|(_, record)| !is_required(record.item.id(), record.revision))
            .map(|(number, _)| *number)
            .collect();
        for number in thinned {
            self.records.remove_mut(&number);
        }
        for number in expired {
            self.records.remove_mut(&number);
            self.horizon = self.horizon.max(number);
        }
    }

    /// Returns the numbers of the records that thin out. A reader that is behind them misses nothing.
    fn thinned(&self, retention: Retention, reference: DateTime<Utc>) -> Vec<u64> {
        let mut histories: HashMap<FlowId, Vec<_>> = HashMap::new();
        for (number, record) in self.records.iter().filter(|(_, record)| record.operation != Operation::State) {
            histories.entry(record.item.id()).or_default().push((*number, record.at));
        }
        let old = histories.values().flat_map(|records| {
            let last = records.len().saturating_sub(retention.revisions.max(1) as usize);
            records[..last].iter().zip(&records[1..])
        });
        old.filter(|((_, at), (_, next))| Retention::thins_out(*at, *next, reference))
            .map(|((number, _), _)| *number)
            .collect()
    }

    /// Returns the first of the last revisions of each flow. A flow whose deletion has expired is not in the map.
    fn first_required(&self, retention: Retention, since: DateTime<Utc>) -> HashMap<FlowId, Revision> {
        let mut histories: HashMap<FlowId, Vec<_>> = HashMap::new();
        for record in self.revisions() {
            histories.entry(record.item.id()).or_default().push(record);
        }
        histories.retain(|_, records| {
            records.last().is_some_and(|last| last.operation != Operation::Delete || last.at >= since)
        });
        let first = |records: Vec<&strom_store::repository::Record<_>>| {
            let index = records.len().saturating_sub(retention.revisions.max(1) as usize);
            records.get(index).map(|record| record.revision)
        };
        histories.into_iter().filter_map(|(id, records)| Some((id, first(records)?))).collect()
    }
}
