//! A swap file for one test.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// Swap space of 32 MiB, taken away when dropped.
pub struct SwapFile {
    _folder: TempDir,
    path: PathBuf,
}

impl SwapFile {
    /// Errors: why this user, kernel or file system has no swap file.
    pub fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("swap");
        // Without holes, which the kernel refuses.
        fs::write(&path, vec![0; 32 << 20]).map_err(|error| error.to_string())?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        for program in ["mkswap", "swapon"] {
            run(program, &path)?;
        }
        Ok(Self { _folder: folder, path })
    }
}

impl Drop for SwapFile {
    fn drop(&mut self) {
        run("swapoff", &self.path).unwrap();
    }
}

fn run(program: &str, path: &PathBuf) -> Result<(), String> {
    let told = Command::new(program).arg(path).output().map_err(|error| format!("{program}: {error}"))?;
    if told.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&told.stderr).trim().into()) }
}
