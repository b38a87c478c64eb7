//! What somebody should look at while the store goes on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The faults of today, by topic.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<BTreeMap<Topic, Vec<String>>>);

/// What a fault is about. A new one takes the place of an older one of its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// Flows in the file that cannot be read.
    File,
    /// The file as a whole, after an edit while running.
    Edit,
    /// Flows that were edited in the file and saved as well.
    Conflict,
    /// The file cannot be written.
    Checkpoint,
    /// Saves fail.
    Save,
    /// Lock and journal are not where they were.
    Place,
    /// Journal and history as they were found.
    Log,
    /// Lines of the history that cannot be read.
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
        Self::Place,
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
            Self::Place => "place",
            Self::Log | Self::Rotation => "journal",
            Self::History => "history",
        }
    }
}

impl Faults {
    /// These are the faults of the topic now. What is new goes to the log, too.
    pub(super) fn set(&self, topic: Topic, faults: Vec<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.remove(&topic).unwrap_or_default();
        for fault in faults.iter().filter(|fault| !known.contains(fault)) {
            tracing::warn!(topic = topic.name(), "{fault}");
        }
        if !faults.is_empty() {
            all.insert(topic, faults);
        }
    }

    /// The topic is in order.
    pub(super) fn clear(&self, topic: Topic) {
        self.set(topic, Vec::new());
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().flatten().cloned().collect()
    }

    /// How many there are, by the names of topics.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, usize> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = BTreeMap::new();
        for topic in Topic::ALL {
            *counts.entry(topic.name()).or_default() += all.get(&topic).map_or(0, Vec::len);
        }
        counts
    }
}
