//! Runs a family through its steps and keeps what was measured.

pub mod command;
mod compare;
mod ending;
mod evidence;
mod explain;
pub mod fork_cost;
pub mod measure;
mod options;
mod pages;
pub(crate) mod regions;
mod trace;
mod watch;

pub use measure::Measurement;
pub use options::{Baseline, MeasureOptions};
pub use trace::Trace;
pub mod progress;
pub mod run;
pub mod server;

pub use crate::family::recording::{self, Recording};
pub use run::{Course, RunOptions, RunOutcome, run};
