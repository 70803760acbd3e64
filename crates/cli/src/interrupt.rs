//! Ctrl-C, and requests to terminate.

use std::io::Write;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Failure, INTERRUPTED, Result};

/// A flag that the first Ctrl-C sets; the second one ends the program at once.
pub(crate) fn flag(what_happens: &'static str) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let handler = move || {
        if asked.swap(true, Ordering::Relaxed) {
            process::exit(INTERRUPTED.into());
        }
        // There is nobody to tell where standard error is closed.
        let _ = writeln!(std::io::stderr(), "\nstopping: {what_happens}; press Ctrl-C again to leave at once");
    };
    ctrlc::set_handler(handler)
        .map_err(|error| Failure::failed(format!("Ctrl-C cannot be caught: {error}"), "run the program from another shell"))?;
    Ok(stop)
}
