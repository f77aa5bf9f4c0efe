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
    use crate::prepare::native::{
        count_pages_begin, count_pages_end, old_abi_extensions, prepare_heap, trim_heap,
    };

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}

/// Fixes in words of the command line, and what they are in Python.
const WORDS: [(&str, &str); 5] = [
    ("use -w 1 or more", "workers=1 or more"),
    ("add --force to replace it", "force=True to replace it"),
    ("raise --timeout", "raise timeout="),
    ("name another folder with --capture", "name another folder"),
    ("`--capture` has written", "save() or `forkprint run --capture` has written"),
];

/// The same error, with a fix that a caller in Python can make.
fn in_python(error: Error) -> Error {
    let Some(fix) = error.suggested_fix() else { return error };
    let fix = WORDS.iter().fold(fix.to_owned(), |fix, (option, argument)| fix.replace(option, argument));
    error.fix(fix)
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        if error.is_interrupt() {
            PyKeyboardInterrupt::new_err(())
        } else {
            ForkprintError::new_err(in_python(error).to_string())
        }
    }
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::new("cannot hand a result to Python").why(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixes_are_told_in_words_of_python() {
        let told =
            |fix: &str| in_python(Error::new("no").fix(fix)).suggested_fix().unwrap_or_default().to_owned();
        assert_eq!(
            told("add --force to replace it, or name another folder"),
            "force=True to replace it, or name another folder"
        );
        assert_eq!(told("raise --timeout"), "raise timeout=");
        assert_eq!(told("rename the file"), "rename the file");
        assert_eq!(in_python(Error::new("no")).suggested_fix(), None);
    }
}
