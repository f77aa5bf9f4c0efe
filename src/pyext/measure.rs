//! The calling process as the zygote: what children forked from it by Python code stop sharing.
// pyo3 hands arguments over by value.
#![allow(clippy::needless_pass_by_value)]

use super::run::NativeRecording;
use crate::error::{Context, Error, Result};
use crate::family::recording::About;
use crate::kernel::spawn::{FrozenSibling, die_with_parent, freeze_sibling, kill};
use crate::record::run::about_this_machine;
use crate::record::{Baseline, MeasureOptions, Measurement, Trace};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

/// A measurement of the children that this process forks. Its memory at the beginning is what they
/// inherit; the children must stand still at every snapshot.
#[pyclass(frozen, module = "forkprint._native")]
pub(super) struct ForkMeasurement(Mutex<Option<Underway>>);

struct Underway {
    measurement: Measurement,
    _sibling: Sibling,
}

/// The frozen sibling, which ends with the measurement.
struct Sibling {
    frozen: FrozenSibling,
    parent: u32,
}

impl Drop for Sibling {
    fn drop(&mut self) {
        // In a forked child it is nobody's child, and still needed.
        if std::process::id() == self.parent {
            kill(self.frozen.pid);
            let _reaped_already = waitpid(Pid::from_raw(self.frozen.pid.cast_signed()), None);
        }
    }
}

#[pymethods]
impl ForkMeasurement {
    /// Freezes a sibling of this process and reads the process.
    #[new]
    fn new(py: Python<'_>, title: String, runtime_version: String, python: (u8, u8)) -> PyResult<Self> {
        let about = About { title, runtime: "python".into(), runtime_version, ..about_this_machine() };
        let underway = py.detach(|| begin(about, python))?;
        Ok(Self(Mutex::new(Some(underway))))
    }

    /// Adds a child that has just been forked and stands still.
    fn add_worker(&self, py: Python<'_>, pid: u32) -> PyResult<()> {
        Ok(py.detach(|| self.with(|underway| underway.measurement.add_still_worker(pid)))?)
    }

    /// Reads the family and appends a step.
    fn snapshot(&self, py: Python<'_>, name: String) -> PyResult<()> {
        Ok(py.detach(|| self.with(|underway| underway.measurement.snapshot(&name, None)))?)
    }

    /// Ends the measurement, and the sibling.
    fn finish(&self, py: Python<'_>) -> PyResult<NativeRecording> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let underway = taken.ok_or_else(ended)?;
        Ok(NativeRecording::of(py.detach(|| underway.measurement.finish(true))))
    }

    /// Ends the sibling without a result.
    fn abandon(&self, py: Python<'_>) {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(taken));
    }
}

impl ForkMeasurement {
    fn with<T>(&self, work: impl FnOnce(&mut Underway) -> Result<T>) -> Result<T> {
        let mut underway = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        underway.as_mut().ok_or_else(ended).and_then(work)
    }
}

fn ended() -> Error {
    Error::new("the measurement has ended")
}

fn begin(about: About, python: (u8, u8)) -> Result<Underway> {
    let parent = std::process::id();
    let frozen = freeze_sibling()?;
    let baseline = Baseline {
        zygote_pid: parent,
        reference_pid: Some(frozen.pid),
        instrument: frozen.instrument.clone(),
        python: Some(python),
        ..Baseline::default()
    };
    let sibling = Sibling { frozen, parent };
    let measurement = Measurement::begin(about, baseline, &MeasureOptions::default(), Trace::none())?;
    Ok(Underway { measurement, _sibling: sibling })
}

/// Asks the kernel to kill this process, a child of `parent`, when its parent ends. False where it
/// has ended already.
#[pyfunction]
pub(super) fn die_with(parent: u32) -> PyResult<bool> {
    die_with_parent().doing("cannot tie a child to its parent")?;
    Ok(nix::unistd::getppid().as_raw().cast_unsigned() == parent)
}
