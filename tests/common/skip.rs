//! The one way in which a test says that it could not run here, so that skips can be counted.

/// Prints `skipped: REASON` on standard error.
pub fn skip(reason: impl std::fmt::Display) {
    eprintln!("skipped: {reason}");
}
