//! Access to the disk.
//!
//! Every write goes through the trait [`Disk`], so that a test can make any single call fail.

pub(crate) mod durable;
#[cfg(all(feature = "json", feature = "testkit"))]
pub(crate) mod faulty;
pub(crate) mod lock;
pub(crate) mod paths;
pub(crate) mod place;
mod real;
pub(crate) mod sealed;
#[cfg(all(feature = "json", feature = "testkit"))]
pub(crate) mod unsynced;

pub(crate) use real::{Disk, RealDisk};
