//! The Python face: the module `forkprint._native`, a thin layer below `python/forkprint`.
//!
//! What it measures crosses as JSON text; the package turns it into typed values.

mod family;
mod run;
mod snapshot;

use crate::error::Error;
use pyo3::PyErr;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt};
use serde::Serialize;

pyo3::create_exception!(
    forkprint,
    ForkprintError,
    PyException,
    "Something could not be measured. The message says what, where, why and what would help."
);

/// What stands in `forkprint._native`.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use super::ForkprintError;
    #[pymodule_export]
    use super::family::family;
    #[pymodule_export]
    use super::run::{NativeRecording, load, main, run};
    #[pymodule_export]
    use super::snapshot::snapshot;

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        if error.is_interrupt() {
            PyKeyboardInterrupt::new_err(())
        } else {
            ForkprintError::new_err(error.to_string())
        }
    }
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::new("cannot hand a result to Python").why(error))
}
