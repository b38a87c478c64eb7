//! Parts of this crate that only the tests and benchmarks of this workspace use. They are not part of the public API and
//! change without notice.

pub use crate::testkit::chance::Chance;

/// Sample flows, times and calls.
pub mod samples {
    pub use crate::testkit::samples::*;
}

/// Reads the change feed.
pub mod feed {
    pub use crate::testkit::feed_reader::*;
}

/// Reads histories.
pub mod history {
    pub use crate::testkit::history_reader::*;
}

/// Sort orders.
pub mod orders {
    pub use crate::testkit::orders::*;
}

/// A disk for the JSON backend that fails on demand and loses what was not synced.
#[cfg(feature = "json")]
pub mod faulty_disk {
    use std::path::Path;
    use std::sync::Arc;

    use chrono::{DateTime, Utc};

    use crate::disk::Disk;
    pub use crate::disk::faulty::*;
    pub use crate::disk::unsynced::Loss;
    use crate::json::{JsonRepository, Settings};
    use crate::repository::{FlowRepository, OpenError};

    /// Opens a JSON file on this disk.
    ///
    /// # Errors
    /// As [`JsonRepository::open`].
    pub async fn open(
        path: &Path,
        now: DateTime<Utc>,
        settings: Settings,
        disk: &Arc<FaultyDisk>,
    ) -> Result<Arc<dyn FlowRepository>, OpenError> {
        let disk: Arc<dyn Disk> = Arc::<FaultyDisk>::clone(disk);
        Ok(Arc::new(JsonRepository::open_on(path, now, settings, disk).await?))
    }
}
