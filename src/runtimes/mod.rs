//! What runs in a zygote: a managed runtime with a workload, behind one trait.

use crate::error::{Error, Result};
pub use crate::family::Region;
use crate::kernel::agent::Inside;
use crate::variant::Variant;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toy::ToyOptions;

pub mod python;
pub mod toy;

/// A workload and the options of the runtime it needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Workload {
    /// The file: `.py` or `.toy`.
    pub path: PathBuf,
    /// How the toy runtime behaves; other runtimes ignore it.
    pub toy: ToyOptions,
    /// What an experiment changes.
    #[serde(default)]
    pub variant: Variant,
}

impl Workload {
    /// A workload in a runtime that behaves as it does by default.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), toy: ToyOptions::default(), variant: Variant::default() }
    }
}

/// Loads a workload into the runtime that its ending names.
///
/// Errors: no such file, an unknown ending, or what the runtime says of the program.
pub fn load(workload: &Workload) -> Result<Box<dyn Runtime>> {
    require_file(&workload.path)?;
    match workload.path.extension().and_then(|ending| ending.to_str()) {
        Some("py") => Ok(Box::new(python::PythonRuntime::load_text(
            &workload.path,
            &[],
            workload.variant.text.as_deref(),
        )?)),
        Some("toy") => Ok(Box::new(toy::ToyRuntime::load(&workload.path, workload.toy.clone())?)),
        _ => Err(Error::new("cannot tell which runtime this workload needs")
            .path(&workload.path)
            .why("its name ends neither in .py nor in .toy")
            .fix("rename the file")),
    }
}

/// Refuses what cannot be read as a workload of any runtime.
fn require_file(path: &Path) -> Result<()> {
    let refuse = |why: &str, fix| Err(Error::new("cannot load the workload").path(path).why(why).fix(fix));
    match std::fs::metadata(path) {
        Err(error) => refuse(
            &error.to_string(),
            "check the path; `forkprint demo --export workloads` writes workloads to start from",
        ),
        Ok(found) if found.is_dir() => refuse("it is a folder", "name a .py or .toy file in it"),
        Ok(_) => Ok(()),
    }
}

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

    /// Whether a step runs once, in the zygote and between those of the workers, and not in every worker.
    fn runs_in_zygote(&self, _index: usize) -> bool {
        false
    }

    /// Runs one step to its end in the calling process.
    fn run_step(&mut self, index: usize) -> Result<(), StepFailure>;

    /// The memory that the runtime can name. Disjoint, in any order.
    fn regions(&self) -> Vec<Region>;

    /// What the workload says of itself: its docstring or header comment.
    fn description(&self) -> String {
        String::new()
    }

    /// `(major, minor)` of the `CPython` inside, where there is one.
    fn python_version(&self) -> Option<(u8, u8)> {
        None
    }

    /// Remarks for the reader of the report, such as a missing JIT back end.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Does what the runtime does to its memory once before the first fork. Forking does it as well; this
    /// is for those who look at the memory, or freeze a sibling, before they fork through the runtime.
    fn prepare_fork(&mut self) -> Result<()> {
        Ok(())
    }

    /// Shows the agent around in the zygote, before anything is forked or watched: it may list the
    /// objects, and check that it reads frames as the runtime does.
    ///
    /// `None` where the agent knows nothing of this runtime; else the address of `CPython`'s `_PyRuntime`
    /// where it exports one, or why the agent may not be believed.
    fn meet_agent(&mut self, _agent: Inside, _library: &Path) -> Option<Result<Option<u64>, String>> {
        None
    }

    /// Forks through the runtime's own fork hooks.
    fn fork(&mut self) -> Result<ForkSide>;
}
