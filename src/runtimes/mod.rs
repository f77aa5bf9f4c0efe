//! What runs in a zygote: a managed runtime with a workload, behind one trait.

use crate::error::Result;
pub use crate::family::Region;
use serde::{Deserialize, Serialize};

pub mod python;
pub mod toy;

/// Why a step did not finish, in the runtime's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFailure {
    /// One line: the exception and its message.
    pub message: String,
    /// The whole traceback, where the runtime has one.
    pub traceback: Option<String>,
}

/// Which side of a fork the caller is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForkSide {
    /// In the zygote; holds the worker's pid.
    Zygote(u32),
    /// In the new worker.
    Worker,
}

/// A managed runtime that has loaded one workload.
///
/// The zygote holds one, forks through it, and every worker runs its steps. Implementations write
/// as little as they can outside the workload: what the harness dirties is measured too.
pub trait Runtime {
    /// The runtime's name in reports: `python`, `toy`.
    fn name(&self) -> &'static str;

    /// The runtime's version, as its users write it.
    fn version(&self) -> String;

    /// The names of the workload's steps, in the order they run.
    fn steps(&self) -> Vec<String>;

    /// Runs one step to its end in the calling process.
    fn run_step(&mut self, index: usize) -> Result<(), StepFailure>;

    /// The memory that the runtime can name. Disjoint, in any order.
    fn regions(&self) -> Vec<Region>;

    /// Remarks for the reader of the report, such as a missing JIT back end.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Forks through the runtime's own fork hooks.
    fn fork(&mut self) -> Result<ForkSide>;
}
