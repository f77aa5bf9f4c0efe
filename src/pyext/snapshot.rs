//! One process at one moment.

use super::json;
use crate::cpython::version;
use crate::error::Result;
use crate::family::{Inherited, Process};
use crate::observe::rollup::read_rollup;
use crate::observe::{ProcRoot, read_process};
use crate::record::regions::name_regions;
use crate::units::Bytes;
use pyo3::{PyResult, Python, pyfunction};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Snapshot {
    pid: u32,
    private_pages: u64,
    rss_bytes: u64,
    pss_bytes: u64,
    page_table_bytes: u64,
    regions: BTreeMap<String, u64>,
}

/// The private memory of one process, as JSON text.
#[pyfunction]
pub(super) fn snapshot(py: Python<'_>, pid: u32) -> PyResult<String> {
    Ok(py.detach(|| take(pid).and_then(|snapshot| json(&snapshot)))?)
}

fn take(pid: u32) -> Result<Snapshot> {
    let root = ProcRoot::system();
    let process = read_process(&root, pid)?;
    Ok(Snapshot {
        pid,
        private_pages: process.private_pages(),
        rss_bytes: process.rss_bytes,
        pss_bytes: read_rollup(&root, pid)?.pss,
        page_table_bytes: process.page_table_bytes,
        regions: bytes_by_region(&process),
    })
}

fn bytes_by_region(process: &Process) -> BTreeMap<String, u64> {
    let named = name_regions(process, Vec::new(), version::of_process(process));
    let private = Inherited::new(process, &named, |_| false);
    let mut bytes = BTreeMap::new();
    for region in private.region_of_page() {
        *bytes.entry(private.regions[region as usize].clone()).or_default() += Bytes::of_pages(1).0;
    }
    bytes
}
