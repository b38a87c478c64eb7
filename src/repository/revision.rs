//! The number of a flow's change.

use std::fmt;

/// The version counter of a flow, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The first revision of a flow whose id was never used.
    pub const FIRST: Self = Self(1);

    /// How many revisions the first change of a flow skips after a database went back in time. So the revision of a change
    /// that was lost is never given to another change. Must equal the number in `migrations/0013_guards.sql`.
    pub const SKIPPED: u64 = 1_000;

    /// The highest revision that a store accepts from another store. It leaves 2^52 revisions until JavaScript, which
    /// counts exactly up to 2^53, confuses two of them. No store reaches it by counting.
    pub const HIGHEST_ADOPTED: Self = Self(1 << 52);

    /// Returns the revision with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Returns the revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that is not the revision of a flow: 0, or one above [`Revision::HIGHEST_ADOPTED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a valid revision")]
pub struct InvalidRevision(pub Revision);
