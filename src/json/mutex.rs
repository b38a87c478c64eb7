//! Locks a mutex whether or not a holder has panicked.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the mutex. The data is valid after a panic, because no holder leaves it half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
