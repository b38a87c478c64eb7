//! Problems that an operator should look at while the store continues to work.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The current faults by topic, and when each topic was reported.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<BTreeMap<Topic, (Instant, Vec<String>)>>);

/// The subject of a fault. A new fault replaces the previous one of its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// Quarantined flows in the file.
    File,
    /// An edit of the file that cannot be read.
    Edit,
    /// Flows that were both edited in the file and saved.
    Conflict,
    /// The file cannot be written.
    Checkpoint,
    /// Saves fail.
    Save,
    /// The files of this process are not in their place, or it cannot lock or create them. The store is not ready.
    Location,
    /// Damage of journal or history that the start found and handled.
    Log,
    /// Damaged lines of the history.
    History,
    /// The journal cannot be moved to the history.
    Rotation,
}

impl Topic {
    const ALL: [Self; 9] = [
        Self::File,
        Self::Edit,
        Self::Conflict,
        Self::Checkpoint,
        Self::Save,
        Self::Location,
        Self::Log,
        Self::Rotation,
        Self::History,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Edit => "edit",
            Self::Conflict => "conflict",
            Self::Checkpoint => "checkpoint",
            Self::Save => "save",
            Self::Location => "location",
            Self::Log | Self::Rotation => "journal",
            Self::History => "history",
        }
    }

    /// How long a report of an event remains. A condition remains until it no longer holds. The log contains both.
    const fn remains(self) -> Option<Duration> {
        match self {
            Self::Conflict => Some(Duration::from_secs(60)),
            Self::Log => Some(Duration::from_secs(3_600)),
            _ => None,
        }
    }
}

impl Faults {
    /// Replaces the faults of a topic. Logs the new ones.
    pub(crate) fn set(&self, topic: Topic, faults: Vec<String>) {
        let mut all = self.current();
        let known = all.remove(&topic).map(|(_, known)| known).unwrap_or_default();
        for fault in faults.iter().filter(|fault| !known.contains(fault)) {
            tracing::warn!(topic = topic.name(), "{fault}");
        }
        if !faults.is_empty() {
            all.insert(topic, (Instant::now(), faults));
        }
    }

    /// Removes the faults of a topic.
    pub(crate) fn clear(&self, topic: Topic) {
        self.set(topic, Vec::new());
    }

    /// Replaces the faults of all topics.
    pub(crate) fn take_over(&self, other: Self) {
        let mut other = other.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        for topic in Topic::ALL {
            self.set(topic, other.remove(&topic).map(|(_, faults)| faults).unwrap_or_default());
        }
    }

    /// Whether a topic has faults.
    pub(crate) fn has(&self, topic: Topic) -> bool {
        self.current().contains_key(&topic)
    }

    /// Returns the first fault of a topic.
    pub(crate) fn first(&self, topic: Topic) -> Option<String> {
        self.current().get(&topic).and_then(|(_, faults)| faults.first().cloned())
    }

    /// Returns all faults.
    pub(crate) fn all(&self) -> Vec<String> {
        self.current().values().flat_map(|(_, faults)| faults).cloned().collect()
    }

    /// Returns the faults of these topics.
    pub(crate) fn of(&self, topics: &[Topic]) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        topics.iter().filter_map(|topic| all.get(topic)).flat_map(|(_, faults)| faults).cloned().collect()
    }

    /// Returns the number of faults by the name of their topic.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, usize> {
        let all = self.current();
        let mut counts = BTreeMap::new();
        for topic in Topic::ALL {
            *counts.entry(topic.name()).or_default() += all.get(&topic).map_or(0, |(_, faults)| faults.len());
        }
        counts
    }

    /// Returns the faults that have not ended.
    fn current(&self) -> MutexGuard<'_, BTreeMap<Topic, (Instant, Vec<String>)>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|topic, (since, _)| topic.remains().is_none_or(|remains| since.elapsed() < remains));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Faults, Topic};

    /// A condition ends when it no longer holds, which another check finds out.
    #[test]
    fn a_report_of_an_event_ends_and_a_condition_does_not() {
        let faults = Faults::default();
        for topic in Topic::ALL {
            faults.set(topic, vec![topic.name().to_owned()]);
        }
        assert_eq!(faults.all().len(), Topic::ALL.len());
        for (at, _) in faults.current().values_mut() {
            *at = Instant::now().checked_sub(Duration::from_secs(4_000)).unwrap_or(*at);
        }
        assert!([Topic::Conflict, Topic::Log].iter().all(|topic| !faults.has(*topic)));
        assert_eq!(faults.all().len(), Topic::ALL.len() - 2);
        assert_eq!((faults.counts()["conflict"], faults.counts()["save"]), (0, 1));
    }
}
