//! What `forkprint.prepare_fork` asks of native code, as functions of Python: for the extension module, and
//! for the interpreter that this program embeds.

use super::extensions;
use super::heap::{self, Request};
use crate::error::Result;
use crate::family::{PageRanges, range_pages, subtract};
use crate::kernel::pagemap::Pagemap;
use crate::kernel::scan::scan_populated;
use crate::kernel::uffd::WriteTracker;
use crate::observe::ProcRoot;
use crate::observe::maps::read_identity;
use crate::observe::process::written_pages;
use crate::units::Vpn;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Mutex;

/// Prepares everything that the roots lead to, or all modules and types. Returns what was done, in the
/// order of `prepare::heap::Counts`.
#[pyfunction]
pub fn prepare_heap<'py>(
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
        Err(refused) => Err(PyRuntimeError::new_err(refused.message().to_string_lossy().into_owned())),
    }
}

/// Gives free memory of the C library's allocator back to the kernel. Whether there was any.
#[pyfunction]
pub fn trim_heap(py: Python<'_>) -> bool {
    // SAFETY: malloc_trim may be called at any time; it takes the allocator's own locks.
    #[cfg(target_env = "gnu")]
    let trimmed = py.detach(|| unsafe { libc::malloc_trim(0) } != 0);
    #[cfg(not(target_env = "gnu"))]
    let trimmed = py.detach(|| false);
    trimmed
}

/// Paths of loaded extension modules that write to the counts of immortal objects.
#[pyfunction]
pub fn old_abi_extensions(py: Python<'_>) -> PyResult<Vec<OsString>> {
    if py.version_info() < (3, 12) {
        // All extension modules are built so.
        return Ok(Vec::new());
    }
    let found = py.detach(extensions::of_old_headers)?;
    Ok(found.into_iter().map(PathBuf::into_os_string).collect())
}

/// The writes that are being tracked, and where.
static TRACKED: Mutex<Option<(WriteTracker, Vec<Range<Vpn>>)>> = Mutex::new(None);

/// Begins to count the pages that this process writes. False where the kernel does not track writes.
#[pyfunction]
pub fn count_pages_begin() -> PyResult<bool> {
    let own = read_identity(&ProcRoot::system(), std::process::id())?;
    let areas: Vec<_> = own
        .vmas
        .iter()
        .filter(|vma| vma.copy_on_write() && vma.flags.write)
        .map(|vma| vma.start..vma.end)
        .collect();
    let Ok(mut current) = TRACKED.lock() else { return Ok(false) };
    // What was tracked before ends first: an area can be tracked once.
    *current = None;
    let mut refused = BTreeSet::new();
    let tracker = WriteTracker::arm(&areas, |index| _ = refused.insert(index));
    let accepted = areas.into_iter().enumerate().filter(|(index, _)| !refused.contains(index));
    *current = tracker.ok().map(|tracker| (tracker, accepted.map(|(_, area)| area).collect()));
    Ok(current.is_some())
}

/// How many pages this process wrote since, of those areas that it had then. None: that was not tracked.
#[pyfunction]
pub fn count_pages_end() -> PyResult<Option<u64>> {
    let current = TRACKED.lock().ok().and_then(|mut current| current.take());
    let Some((tracker, areas)) = current else { return Ok(None) };
    let written = written_and_present(&areas)?;
    drop(tracker);
    Ok(Some(written))
}

/// Pages of areas that were written and are there: some kernels show holes as written, too.
fn written_and_present(areas: &[Range<Vpn>]) -> Result<u64> {
    let (root, pid) = (ProcRoot::system(), std::process::id());
    let written = written_pages(&root, pid, areas)?;
    let pagemap = Pagemap::open(root.path(), pid)?;
    let (mut present, mut zeros) = (PageRanges::new(), PageRanges::new());
    for area in areas {
        scan_populated(pagemap.as_fd(), area, &mut present, &mut zeros)?;
    }
    Ok(range_pages(&written) - range_pages(&subtract(&written, &present)))
}

/// A module with all of these, for an interpreter without the package.
pub fn module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    let module = PyModule::new(py, "forkprint._native")?;
    module.add_function(wrap_pyfunction!(prepare_heap, &module)?)?;
    module.add_function(wrap_pyfunction!(trim_heap, &module)?)?;
    module.add_function(wrap_pyfunction!(old_abi_extensions, &module)?)?;
    module.add_function(wrap_pyfunction!(count_pages_begin, &module)?)?;
    module.add_function(wrap_pyfunction!(count_pages_end, &module)?)?;
    Ok(module)
}
