//! The memory footprint of `fork()`.
#![warn(clippy::pedantic)]
#![allow(clippy::module_name_repetitions, clippy::must_use_candidate, clippy::missing_errors_doc)]

pub mod capture;
pub mod cli;
pub mod cpython;
pub mod error;
pub mod family;
pub mod interrupt;
pub mod kernel;
pub mod observe;
mod pyext;
pub mod record;
pub mod report;
pub mod runtimes;
pub mod servers;
pub mod supervisor;
pub mod units;
