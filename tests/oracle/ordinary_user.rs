//! Runs this test program once more as a user without privileges.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `nobody` on most systems.
const UID: &str = "65534";

/// Runs all tests but one as an ordinary user. They must pass, and print what they skip.
pub fn run_all_tests_but(this_test: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = copy(&std::env::current_exe().unwrap(), folder.path());
    // Root's home is closed to others, and a Python may well live there.
    for library in loaded_libpython() {
        copy(&library, folder.path());
    }
    // A process that changes its own uid is not readable for others of that uid; one started anew is.
    let output = Command::new("setpriv")
        .args(["--reuid", UID, "--regid", UID, "--clear-groups"])
        .arg(&program)
        .args(["--skip", this_test, "--nocapture"])
        .env("LD_LIBRARY_PATH", folder.path())
        .current_dir("/")
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return crate::skip::skip(format!("setpriv: {error}")),
    };
    let told = String::from_utf8_lossy(&output.stderr);
    told.lines().filter(|line| line.starts_with("skipped:")).for_each(|line| eprintln!("{line}"));
    assert!(output.status.success(), "{}\n{told}", String::from_utf8_lossy(&output.stdout));
}

fn copy(file: &Path, folder: &Path) -> PathBuf {
    let copy = folder.join(file.file_name().unwrap());
    fs::copy(file, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

fn loaded_libpython() -> Vec<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let mut found: Vec<PathBuf> =
        paths.filter(|path| path.contains("libpython")).map(PathBuf::from).collect();
    found.dedup();
    found
}
