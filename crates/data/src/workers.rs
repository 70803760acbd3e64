//! Threads that work on something until it is done.

use std::thread::{Builder, Scope, ScopedJoinHandle};

use crate::{Error, Result};

/// Starts `threads` threads, at least one, that each do what `work` gives for them.
///
/// # Errors
/// [`Error::Threads`] where the system gives none; fewer than asked for are enough.
pub(crate) fn start<'scope, T: Send + 'scope, W: FnOnce() -> T + Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    threads: usize,
    mut work: impl FnMut() -> W,
) -> Result<Vec<ScopedJoinHandle<'scope, T>>> {
    let mut started = Vec::new();
    for _ in 0..threads.max(1) {
        match Builder::new().spawn_scoped(scope, work()) {
            Ok(thread) => started.push(thread),
            Err(error) if started.is_empty() => return Err(Error::Threads(error)),
            Err(_) => break,
        }
    }
    Ok(started)
}
