//! The progress of long operations.

use std::fmt::Debug;

/// An observer of an import, a switch or an archive.
pub trait Progress: Debug + Send + Sync + 'static {
    /// Reports the number of documents that were read.
    fn read(&self, flows: usize) {
        let _ = flows;
    }

    /// Reports the number of changes that the storage received. Starts again from the first change if the storage retries.
    /// Nothing is stored before all changes are.
    fn handed_over(&self, flows: usize, of: usize) {
        let _ = (flows, of);
    }

    /// Reports the number of flows that were read back from the target and compared.
    fn read_back(&self, flows: usize, of: usize) {
        let _ = (flows, of);
    }
}

/// Ignores all reports.
impl Progress for () {}
