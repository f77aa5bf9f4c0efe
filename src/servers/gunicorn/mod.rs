//! gunicorn, run from its own configuration.
//!
//! [`Settings`] are read by gunicorn itself in the target's interpreter. `Master` starts the server
//! through a small runner, which holds the master still at the first fork, makes the sibling that
//! stays frozen there, and reports every worker. `Family` puts those under measurement, and
//! [`analyze`] takes a snapshot at each milestone of the load.

mod analyze;
mod event;
mod family;
mod lint;
mod log;
mod master;
mod settings;

pub use analyze::{AnalyzeOptions, analyze, lint_only};
pub use lint::{AtFork, lint};
pub use settings::{Invocation, Settings};
