//! `forkprint.run` and the command line, for a host interpreter.
// pyo3 hands arguments over by value.
#![allow(clippy::needless_pass_by_value)]

use super::in_python;
use crate::capture;
use crate::cpython::lifecycle;
use crate::error::{Error, Result};
use crate::family::Rung;
use crate::interrupt;
use crate::record::progress::Progress;
use crate::record::{Recording, RunOptions, RunOutcome};
use crate::report;
use crate::runtimes::Workload;
use pyo3::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

/// Runs the command line and returns its exit code.
#[pyfunction]
pub(super) fn main(py: Python<'_>, arguments: Vec<OsString>, self_command: Vec<OsString>) -> i32 {
    py.detach(|| {
        let code = crate::cli::main(arguments, self_command);
        if !lifecycle::is_running() {
            // A worker that shut its interpreter down has nothing to return to.
            std::process::exit(code);
        }
        code
    })
}

/// What one measurement found, with every page.
#[pyclass(frozen, module = "forkprint._native", name = "Recording")]
pub(super) struct NativeRecording {
    recording: Recording,
    error: Option<Error>,
}

impl NativeRecording {
    /// A measurement that went to its end.
    pub(super) fn of(recording: Recording) -> Self {
        Self { recording, error: None }
    }
}

#[pymethods]
impl NativeRecording {
    /// The recording as JSON text, as `forkprint run --format json` prints it.
    fn json(&self) -> String {
        report::json::render(&self.recording)
    }

    /// The report as one self-contained HTML page.
    fn html(&self, py: Python<'_>) -> PyResult<String> {
        Ok(py.detach(|| report::html::render(&self.recording))?)
    }

    /// The report for a terminal of so many columns, without colours.
    fn text(&self, columns: usize) -> String {
        report::text::render(&self.recording, columns, false)
    }

    /// Writes a capture folder.
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 hands over owned paths")]
    fn save(&self, py: Python<'_>, path: PathBuf, force: bool) -> PyResult<()> {
        Ok(py.detach(|| capture::write(&self.recording, &path, force))?)
    }

    /// Why the measurement ended early, or None.
    #[getter]
    fn error(&self) -> Option<String> {
        self.error.clone().map(|error| in_python(error).to_string())
    }
}

/// Reads a capture folder.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "PyO3 hands over owned paths")]
pub(super) fn load(py: Python<'_>, path: PathBuf) -> PyResult<NativeRecording> {
    let recording = py.detach(|| capture::read(&path))?;
    Ok(NativeRecording { recording, error: None })
}

/// Runs a workload under a supervisor in processes of its own.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "keywords of the Python function")]
pub(super) fn run(
    py: Python<'_>,
    workload: PathBuf,
    workers: usize,
    timeout_seconds: f64,
    rung: Option<&str>,
    witness: Option<&str>,
    command: String,
    self_command: Vec<OsString>,
) -> PyResult<NativeRecording> {
    let timeout = Duration::try_from_secs_f64(timeout_seconds)
        .map_err(|error| Error::new(format!("timeout: {error}")).fix("timeout=300.0, in seconds"))?;
    let rung = rung.map(parse_rung).transpose()?;
    let witness = witness.map(|name| name.parse().map_err(Error::new)).transpose()?;
    let options = RunOptions {
        workload: Workload::new(workload),
        workers,
        timeout,
        rung,
        witness,
        self_command,
        command,
        mute: false,
    };
    let RunOutcome { recording, error, .. } =
        interruptibly(py, move || crate::record::run(&options, &Progress::silent()))?;
    Ok(NativeRecording { recording, error })
}

/// The rungs that can measure a workload.
const RUNGS: [Rung; 3] = [Rung::Pfn, Rung::Scan, Rung::Exclusive];

fn parse_rung(name: &str) -> Result<Rung> {
    RUNGS.into_iter().find(|rung| rung.name() == name).ok_or_else(|| {
        let fix = RUNGS.map(|rung| format!("rung=\"{}\"", rung.name())).join(", ");
        Error::new("no such rung").location(name).fix(format!("{fix}, or none for the best that works"))
    })
}

/// Works on another thread while this one lets Python handle its signals, so that Ctrl-C ends the
/// measurement instead of waiting for it.
fn interruptibly<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> PyResult<T> {
    interrupt::reset();
    let (sender, mut receiver) = mpsc::channel();
    let worker = std::thread::spawn(move || sender.send(work()));
    let mut interrupted = None;
    loop {
        let receiver = &mut receiver;
        match py.detach(move || receiver.recv_timeout(interrupt::POLL)) {
            Ok(result) => {
                let _sent = worker.join();
                interrupt::reset();
                return match interrupted {
                    Some(raised) => Err(raised),
                    None => Ok(result?),
                };
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Error::new("the measurement broke down").into());
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if let Err(raised) = py.check_signals() {
            interrupt::request();
            interrupted = Some(raised);
        }
    }
}
