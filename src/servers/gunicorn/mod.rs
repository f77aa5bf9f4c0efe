//! gunicorn, run from its own configuration.
//!
//! [`Settings`] are read by gunicorn itself in the target's interpreter. [`Master`] starts the server
//! through a small runner, which holds the master still at the first fork, makes the sibling that
//! stays frozen there, and reports every worker as an [`Event`]. [`lint()`] judges the configuration.

mod event;
mod lint;
mod log;
mod master;
mod package;
mod settings;

pub use event::{Event, Watcher};
pub use lint::{AtFork, lint};
pub use master::Master;
pub use settings::{Invocation, Settings};
