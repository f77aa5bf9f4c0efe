//! Start and end of the embedded interpreter: the two calls that need the C API itself.
#![allow(unsafe_code)]

#[cfg(any(feature = "embed", test))]
use super::version;
use pyo3::Python;
use pyo3::ffi;
#[cfg(feature = "embed")]
use std::path::{Path, PathBuf};

/// Whether an interpreter runs in this process: the host's, or one that we started.
pub fn is_running() -> bool {
    // SAFETY: may be called at any time, also before initialisation and after finalisation.
    unsafe { ffi::Py_IsInitialized() != 0 }
}

/// Starts the embedded interpreter, unless one runs already. Returns whether it was started.
///
/// It presents itself as the interpreter of the active virtual environment where that fits the
/// linked library, else as the Python that forkprint was built with, so that `sys.prefix`, the
/// standard library and `site-packages` are theirs and not those of the first `python3` on PATH.
///
/// Call it on the main thread: `CPython` takes the thread that starts it for its main thread.
pub fn start() -> bool {
    if is_running() {
        return false;
    }
    #[cfg(feature = "embed")]
    if let Some(executable) = executable_to_present() {
        set_program_name(&executable);
    }
    Python::initialize();
    true
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

/// The Python that forkprint was built with; its library is the one linked.
#[cfg(feature = "embed")]
const BUILT_WITH: &str = env!("FORKPRINT_PYTHON");

#[cfg(feature = "embed")]
fn executable_to_present() -> Option<PathBuf> {
    let active = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let environment = active.filter(|folder| fits_library(folder)).map(|folder| folder.join("bin/python"));
    environment.into_iter().chain([PathBuf::from(BUILT_WITH)]).find(|executable| executable.exists())
}

/// Whether a virtual environment is of the linked `CPython`'s minor version.
#[cfg(feature = "embed")]
fn fits_library(environment: &Path) -> bool {
    let configuration = std::fs::read_to_string(environment.join("pyvenv.cfg")).unwrap_or_default();
    environment_version(&configuration) == Some(linked_version())
}

/// `(major, minor)` of the linked library, which may be asked before it is started.
#[cfg(feature = "embed")]
fn linked_version() -> (u8, u8) {
    version::parse(Python::version_str()).unwrap_or_default()
}

/// `(major, minor)` from the text of a `pyvenv.cfg`: venv writes `version`, virtualenv and uv `version_info`.
#[cfg(any(feature = "embed", test))]
fn environment_version(configuration: &str) -> Option<(u8, u8)> {
    configuration.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        matches!(key.trim(), "version" | "version_info").then(|| version::parse(value.trim()))?
    })
}

#[cfg(feature = "embed")]
fn set_program_name(executable: &Path) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_environments_of_every_kind() {
        let venv = "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.7\n";
        let uv = "home = /opt/python\nimplementation = CPython\nuv = 0.9\nversion_info = 3.13.0\n";
        assert_eq!(environment_version(venv), Some((3, 11)));
        assert_eq!(environment_version(uv), Some((3, 13)));
        assert_eq!(environment_version("home = /usr/bin"), None);
    }
}
