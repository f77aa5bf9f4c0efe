//! Processes that a run may have left behind.

use forkprint::kernel::spawn::wait_for_exit;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Zygotes, siblings and workers of a folder: their command line names the workload in it.
pub fn processes(folder: &Path) -> Vec<u32> {
    let folder = folder.to_str().unwrap();
    let names = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let ours = |pid: &u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(folder)
    };
    names.filter_map(|name| name.parse().ok()).filter(ours).collect()
}

/// Waits until no process of a folder is left, which must be soon.
pub fn assert_none(folder: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    for pid in processes(folder) {
        assert!(wait_for_exit(pid, deadline), "process {pid} was left behind");
    }
    assert_eq!(processes(folder), [] as [u32; 0]);
}
