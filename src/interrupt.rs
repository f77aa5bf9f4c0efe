//! Ctrl-C: a flag that every wait looks at, so that what was measured so far is kept.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Waits look at the flag at least so often.
pub const POLL: Duration = Duration::from_millis(100);

fn flag() -> &'static Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(Arc::default)
}

/// Makes SIGINT and SIGTERM set the flag; a second signal ends the process at once.
pub fn install() -> Result<()> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(flag()))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(flag())))
            .map_err(|error| Error::new("cannot handle signals").why(error))?;
    }
    Ok(())
}

/// Makes SIGINT and SIGTERM end the process at once: where nothing is measured, there is nothing to keep.
pub fn end_at_once() -> Result<()> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::new(AtomicBool::new(true)))
            .map_err(|error| Error::new("cannot handle signals").why(error))?;
    }
    Ok(())
}

/// Sets the flag, as a host program does when its own user interrupts.
pub fn request() {
    flag().store(true, Ordering::Relaxed);
}

/// Clears the flag before a new measurement in the same process.
pub fn reset() {
    flag().store(false, Ordering::Relaxed);
}

/// Fails once the user has asked to stop.
pub fn check() -> Result<()> {
    if flag().load(Ordering::Relaxed) { Err(Error::interrupted()) } else { Ok(()) }
}
