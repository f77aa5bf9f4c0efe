//! The proc tree that processes are read from.

use crate::error::{Error, Result};
use procfs::ProcError;
use std::path::{Path, PathBuf};

/// Where `/proc` is mounted. Tests use trees of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcRoot(PathBuf);

impl ProcRoot {
    /// The running kernel's.
    pub fn system() -> Self {
        Self("/proc".into())
    }

    /// Any other tree of the same shape.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// One process below it.
    pub fn process(&self, pid: u32) -> Result<procfs::process::Process> {
        let dir = self.0.join(pid.to_string());
        procfs::process::Process::new_with_root(dir).map_err(|error| unreadable(self, pid, &error))
    }
}

/// The error for a process that cannot be looked at.
pub fn unreadable(root: &ProcRoot, pid: u32, error: &ProcError) -> Error {
    let failed = Error::new("cannot look at a process").path(root.path().join(pid.to_string()));
    match error {
        ProcError::NotFound(_) => failed.why("no such process, or it has ended"),
        ProcError::PermissionDenied(path) => failed
            .why(format!(
                "permission denied{}",
                path.as_ref().map(|p| format!(": {}", p.display())).unwrap_or_default()
            ))
            .fix("run as the user who owns the process, or as root"),
        other => failed.why(other),
    }
}
