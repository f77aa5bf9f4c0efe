//! Start and end of the embedded interpreter: the two calls that need the C API itself.
#![allow(unsafe_code)]

use pyo3::Python;
use pyo3::ffi;

/// Whether an interpreter runs in this process: the host's, or one that we started.
pub fn is_running() -> bool {
    // SAFETY: may be called at any time, also before initialisation and after finalisation.
    unsafe { ffi::Py_IsInitialized() != 0 }
}

/// Who runs the interpreter of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// Another program; we are an extension module in it.
    Other,
    /// We do: it was started now.
    Embedded {
        /// What the reader of a report must know of the installation it uses.
        note: Option<String>,
    },
}

/// Starts the embedded interpreter, unless one runs already.
///
/// It presents itself as the interpreter of the active virtual environment where that fits the
/// linked library, else as the Python that forkprint was built with, so that `sys.prefix`, the
/// standard library and `site-packages` are theirs and not those of the first `python3` on PATH.
///
/// Call it on the main thread: `CPython` takes the thread that starts it for its main thread.
pub fn start() -> Host {
    if is_running() {
        return Host::Other;
    }
    let note = take_home();
    Python::initialize();
    Host::Embedded { note }
}

#[cfg(feature = "embed")]
fn take_home() -> Option<String> {
    let home = super::home::Home::find();
    if let Some(executable) = &home.executable {
        set_program_name(executable);
    }
    home.note
}

#[cfg(not(feature = "embed"))]
const fn take_home() -> Option<String> {
    None
}

/// Shuts the interpreter down (`Py_FinalizeEx`). Returns whether buffered data could be flushed.
///
/// Nothing of Python may be used in this process afterwards, and no `Python::attach` or
/// `Python::detach` that is still open further up the stack may be returned from: the process has
/// to end by `exit`. Call it on the main thread, outside of any `Python::attach`.
pub fn finalize() -> bool {
    // SAFETY: the interpreter runs (checked), this thread then holds the GIL, and it never releases
    // the state that finalisation destroys.
    unsafe {
        if ffi::Py_IsInitialized() == 0 {
            return true;
        }
        ffi::PyGILState_Ensure();
        ffi::Py_FinalizeEx() == 0
    }
}

#[cfg(feature = "embed")]
fn set_program_name(executable: &std::path::Path) {
    use std::os::unix::ffi::OsStrExt;
    let Ok(path) = std::ffi::CString::new(executable.as_os_str().as_bytes()) else { return };
    // SAFETY: `path` ends in NUL, and both calls are allowed before initialisation. The decoded name
    // is never freed, as Py_SetProgramName demands. It is deprecated since 3.11, but its successor
    // PyConfig is not in the stable ABI; it is exported by every version this crate supports.
    #[allow(deprecated)]
    unsafe {
        let name = ffi::Py_DecodeLocale(path.as_ptr(), std::ptr::null_mut());
        if !name.is_null() {
            ffi::Py_SetProgramName(name);
        }
    }
}
