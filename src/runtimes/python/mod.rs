//! `CPython` as a runtime: a workload is an ordinary module with functions marked `@forkprint.step`.

mod agent;
mod load;

use crate::cpython::lifecycle;
use crate::error::{Error, Result};
use crate::kernel::agent::Inside;
use crate::runtimes::{ForkSide, Region, Runtime, StepFailure};
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use std::ffi::OsString;
use std::path::Path;

/// A workload loaded into the `CPython` of this process.
///
/// Everything a worker needs is looked up before the fork: a step that succeeds runs through one
/// call of its function, so that nearly all pages it breaks are the workload's own doing.
#[derive(Debug)]
pub struct PythonRuntime {
    steps: Vec<Step>,
    os_fork: Py<PyAny>,
    description: String,
    notes: Vec<String>,
    version: (u8, u8, u8),
    finalized: bool,
}

#[derive(Debug)]
struct Step {
    name: String,
    function: Py<PyAny>,
    finalize: bool,
}

impl PythonRuntime {
    /// Imports a workload, starting the embedded interpreter if none runs in this process.
    ///
    /// `arguments` become `sys.argv[1:]`. Call it on the main thread.
    ///
    /// # Errors
    ///
    /// When the file is missing or no Python source, when it raises (the traceback is the reason),
    /// or when it marks no step.
    pub fn load(path: &Path, arguments: &[OsString]) -> Result<Self> {
        Self::load_text(path, arguments, None)
    }

    /// The same, but compiles `text`, where there is one, under the file's name.
    pub fn load_text(path: &Path, arguments: &[OsString], text: Option<&str>) -> Result<Self> {
        load::require_source_file(path)?;
        let host = lifecycle::start();
        Python::attach(|py| load::workload(py, path, text, arguments, host))
    }

    fn finalize(&mut self) -> Result<(), StepFailure> {
        self.finalized = true;
        // A function keeps its module's data alive: held by us, it would survive the shutdown.
        Python::attach(|_| self.steps.clear());
        if lifecycle::finalize() {
            return Ok(());
        }
        Err(StepFailure {
            message: "the interpreter could not flush its buffered output while it shut down".into(),
            traceback: None,
        })
    }
}

impl Runtime for PythonRuntime {
    fn name(&self) -> &'static str {
        "python"
    }

    fn version(&self) -> String {
        let (major, minor, patch) = self.version;
        format!("CPython {major}.{minor}.{patch}")
    }

    fn steps(&self) -> Vec<String> {
        self.steps.iter().map(|step| step.name.clone()).collect()
    }

    fn run_step(&mut self, index: usize) -> Result<(), StepFailure> {
        let refuse = |message: &str| StepFailure { message: message.into(), traceback: None };
        if self.finalized {
            return Err(refuse("the interpreter was shut down by an earlier step (finalize=True)"));
        }
        let Some(step) = self.steps.get(index) else {
            return Err(refuse(&format!("the workload has no step {index}")));
        };
        Python::attach(|py| {
            step.function.bind(py).call0().map(drop).map_err(|raised| describe(py, &raised))
        })?;
        if step.finalize { self.finalize() } else { Ok(()) }
    }

    fn description(&self) -> String {
        self.description.clone()
    }

    fn python_version(&self) -> Option<(u8, u8)> {
        Some((self.version.0, self.version.1))
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// Nothing: `CPython`'s arenas are recognised from outside, by [`crate::cpython::pymalloc`].
    fn regions(&self) -> Vec<Region> {
        Vec::new()
    }

    fn meet_agent(&mut self, agent: Inside, library: &Path) -> Option<Result<Option<u64>, String>> {
        Some(agent::meet(agent, library, (self.version.0, self.version.1)))
    }

    fn fork(&mut self) -> Result<ForkSide> {
        if self.finalized {
            return Err(Error::new("cannot fork a worker").why("the interpreter was shut down"));
        }
        Python::attach(|py| {
            flush_standard_streams(py);
            let pid = self.os_fork.bind(py).call0().and_then(|pid| pid.extract::<u32>());
            match pid {
                Ok(0) => Ok(ForkSide::Worker),
                Ok(pid) => Ok(ForkSide::Zygote(pid)),
                Err(raised) => Err(Error::new("cannot fork a worker")
                    .why(describe(py, &raised).message)
                    .fix("free memory, or raise the limit on processes (ulimit -u, pids.max of the cgroup)")),
            }
        })
    }
}

/// Writes out what the workload printed, lest every worker inherits and prints it again.
fn flush_standard_streams(py: Python<'_>) {
    let Ok(sys) = py.import("sys") else { return };
    for stream in ["stdout", "stderr"] {
        // A stream may be None, closed, or a program's own object: then there is nothing to write.
        let _ = sys.getattr(stream).and_then(|stream| stream.call_method0("flush"));
    }
}

/// An exception in the words of Python's own `traceback` module.
fn describe(py: Python<'_>, raised: &PyErr) -> StepFailure {
    let (kind, value) = (raised.get_type(py), raised.value(py));
    let summary = formatted(py, "format_exception_only", (&kind, value));
    let traceback = formatted(py, "format_exception", (&kind, value, raised.traceback(py)));
    // The indented lines show the place of a SyntaxError; notes come after the message.
    let message =
        summary.iter().flatten().find(|line| !line.starts_with(' ')).and_then(|text| text.lines().next());
    StepFailure {
        message: message.map_or_else(|| raised.to_string(), str::to_owned),
        traceback: traceback.ok().map(|lines| lines.concat()),
    }
}

fn formatted<'py>(py: Python<'py>, function: &str, exception: impl PyCallArgs<'py>) -> PyResult<Vec<String>> {
    py.import("traceback")?.call_method1(function, exception)?.extract()
}
