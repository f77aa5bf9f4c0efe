//! An ordinary user, with `perf_event_paranoid` at 2 and no capability, gets the causes and lines of root.

use crate::bench::Bench;
use crate::skip::skip;
use crate::{causes, libpython};
use forkprint::family::recording::Recording;
use forkprint::family::{Cause, Rung, Witness};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `nobody` on most systems.
const UID: u32 = 65534;
/// Parts of the standard library that nothing here needs.
const LEFT_OUT: [&str; 6] = ["test", "tests", "site-packages", "idlelib", "ensurepip", "lib2to3"];

/// A folder that the user owns, and the program with its interpreter where the user may read them.
fn bench() -> Option<Bench> {
    if !nix::unistd::geteuid().is_root() {
        skip("only root can become an ordinary user");
        return None;
    }
    let set = |option: &str| Command::new("setpriv").args([option, "0", "true"]).status().is_ok();
    if !set("--reuid") {
        skip("there is no setpriv");
        return None;
    }
    let bench = Bench::new();
    open(&bench.path(""), 0o777);
    let program = copy(Path::new(env!("CARGO_BIN_EXE_forkprint")), &bench.path(""));
    let words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
    let words = words.iter().map(Into::into).chain([program.into()]).collect();
    let (home, library) = (bench.path("python"), libpython::of_the_program());
    Some(if copy_python(&library, &home) {
        bench.started_by(words).adjusted(move |command| {
            command.env("PYTHONHOME", &home).env("LD_LIBRARY_PATH", home.join("lib"));
        })
    } else {
        bench.started_by(words)
    })
}

/// Copies an interpreter that has its standard library beside it, as those of pyenv and uv do; one of the
/// system is open to all.
fn copy_python(library: &Path, home: &Path) -> bool {
    let version = library.file_name().unwrap().to_str().unwrap();
    let version = version.strip_prefix("libpython").and_then(|rest| rest.split(".so").next()).unwrap();
    let folder = format!("python{version}");
    let standard_library = library.with_file_name(&folder);
    if !standard_library.join("os.py").exists() {
        return false;
    }
    fs::create_dir_all(home.join("lib")).unwrap();
    copy(library, &home.join("lib"));
    copy_folder(&standard_library, &home.join("lib").join(folder));
    [home.to_owned(), home.join("lib")].iter().for_each(|folder| open(folder, 0o755));
    true
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    open(to, 0o755);
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if entry.file_type().unwrap().is_dir() {
            if !LEFT_OUT.iter().any(|left_out| name == *left_out) {
                copy_folder(&entry.path(), &to.join(name));
            }
        } else if !name.to_string_lossy().ends_with(".a") {
            copy(&entry.path(), to);
        }
    }
}

fn copy(file: &Path, folder: &Path) -> PathBuf {
    let copy = folder.join(file.file_name().unwrap());
    fs::copy(file, &copy).unwrap();
    open(&copy, 0o755);
    // Compiled modules are those of sources of the same time.
    let modified = fs::metadata(file).unwrap().modified().unwrap();
    fs::File::options().write(true).open(&copy).unwrap().set_modified(modified).unwrap();
    copy
}

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Runs a program that knows why its pages break: its causes, types and lines are found.
fn found(bench: &Bench, program: &str) -> Option<Recording> {
    let recording = causes::are_found(bench, program)?;
    assert_eq!((recording.about.uid, recording.about.witness), (UID, Witness::Sigtrap));
    assert_eq!(recording.about.rung, Rung::Scan, "frame numbers are hidden");
    let told = &recording.reconciliation;
    assert!(told.unexplained * 100 <= told.broken, "{told:?}");
    Some(recording)
}

#[test]
fn causes_types_and_lines_are_those_that_root_sees() {
    let Some(bench) = bench() else { return };
    for program in ["refcount_str", "object_body", "lazy_cache", "interpreter"] {
        found(&bench, program);
        fs::remove_dir_all(bench.path("out.forkprint")).unwrap();
    }
}

/// Faults of the kernel are hidden from the user: what it wrote is what nobody else did.
#[test]
fn writes_of_the_kernel_are_told_by_exclusion() {
    let Some(bench) = bench() else { return };
    let Some(recording) = found(&bench, "kernel_write") else { return };
    let rows = recording.breaks.rows.iter().filter(|row| row.cause == Cause::KernelWrite);
    assert!(rows.count() >= 595);
    assert!(recording.reconciliation.kernel_writes >= 595);
}
