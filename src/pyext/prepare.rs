//! What `forkprint.prepare_fork` asks of native code.
#![allow(unsafe_code)]

use super::ForkprintError;
use crate::prepare::heap::{self, Request};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Prepares everything that the roots lead to, or all modules and types. Returns what was done, in the
/// order of `prepare::heap::Counts`.
#[pyfunction]
pub(super) fn prepare_heap<'py>(
    py: Python<'py>,
    roots: Option<&Bound<'py, PyTuple>>,
    exclude: &Bound<'py, PyTuple>,
    flags: u32,
) -> PyResult<Bound<'py, PyTuple>> {
    let request = Request {
        minor: u32::from(py.version_info().minor),
        roots: roots.map_or(0, |roots| roots.as_ptr() as u64),
        exclude: exclude.as_ptr() as u64,
        flags,
    };
    // SAFETY: the interpreter runs, the GIL is held, and both tuples live until the end of this function.
    match unsafe { heap::prepare(&request) } {
        Ok(counts) => PyTuple::new(py, counts.to_array()),
        Err(refused) => Err(ForkprintError::new_err(refused.message().to_string_lossy().into_owned())),
    }
}
