//! Heaps made ready for a fork, on every CPython of this machine. What is expected stands in `cases.py`,
//! which asks Python itself: sizes, raw reference counts, hashes, mapped memory.

#[path = "../common/skip.rs"]
mod skip;

use skip::skip;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

const CASES: &str = include_str!("cases.py");
const KNOWN: std::ops::Range<u8> = 9..14;

/// Each interpreter found, one of each version, with its minor version.
fn interpreters() -> BTreeMap<u8, PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let installed = std::fs::read_dir(format!("{home}/.pyenv/versions")).into_iter().flatten();
    let mut candidates: Vec<PathBuf> = vec!["python3".into(), "/usr/bin/python3".into()];
    candidates.extend(installed.map(|entry| entry.unwrap().path().join("bin/python3")));
    let found: BTreeMap<u8, PathBuf> =
        candidates.into_iter().filter_map(|path| Some((minor(&path)?, path))).collect();
    for minor in KNOWN.filter(|minor| !found.contains_key(minor)) {
        skip(format!("no CPython 3.{minor} on this machine"));
    }
    found
}

/// `None` for what is no `CPython` with a GIL, or of another version.
fn minor(program: &PathBuf) -> Option<u8> {
    const PRINT: &str = "import sys, sysconfig
if sys.implementation.name == 'cpython' and not sysconfig.get_config_var('Py_GIL_DISABLED'):
    print(sys.version_info[1] if sys.version_info[0] == 3 else 0)";
    let told = Command::new(program).args(["-c", PRINT]).output().ok()?;
    let minor = String::from_utf8(told.stdout).ok()?.trim().parse().ok()?;
    KNOWN.contains(&minor).then_some(minor)
}

/// The folder with the library and the cases.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("agent.so"), forkprint::agent::LIBRARY).unwrap();
    std::fs::write(folder.path().join("cases.py"), CASES).unwrap();
    folder
}

/// Runs a case to its end, which must be a good one.
fn run(folder: &TempDir, program: &PathBuf, case: &str) -> Output {
    let at = |name| folder.path().join(name);
    let mut command = Command::new(program);
    command.arg(at("cases.py")).arg(at("agent.so")).arg(case).arg(at("held"));
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{case} on {program:?} ended with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn on_every_interpreter(case: &str) {
    if !cfg!(target_arch = "x86_64") {
        return skip("the agent library is for x86-64");
    }
    let folder = folder();
    let found = interpreters();
    assert!(!found.is_empty(), "no CPython at all");
    for program in found.values() {
        run(&folder, program, case);
    }
}

#[test]
fn every_object_of_a_known_heap_is_counted_and_made_immortal() {
    on_every_interpreter("known_heap");
}

#[test]
fn what_something_depends_on_at_its_end_stays_mortal() {
    on_every_interpreter("kinds");
}

#[test]
fn modules_and_types_are_the_roots_of_everything() {
    on_every_interpreter("all_modules_and_types");
}

#[test]
fn chains_and_crowds_need_no_stack() {
    on_every_interpreter("deep_and_wide");
}

#[test]
fn a_second_call_finds_what_is_new_and_leaves_no_memory_behind() {
    on_every_interpreter("twice");
}

#[test]
fn what_is_excluded_is_neither_changed_nor_followed() {
    on_every_interpreter("excluded");
}

#[test]
fn no_code_of_the_program_runs() {
    on_every_interpreter("hostile");
}

#[test]
fn hashes_and_version_tags_are_what_python_would_find() {
    on_every_interpreter("warmed");
}

#[test]
fn wrong_arguments_and_versions_are_refused() {
    on_every_interpreter("refused");
}

/// The same lines, in whatever order, with and without immortal objects: the interpreter ends well, files
/// are flushed, finalizers run.
#[test]
fn an_interpreter_with_immortal_objects_ends_as_others_do() {
    if !cfg!(target_arch = "x86_64") {
        return skip("the agent library is for x86-64");
    }
    let folder = folder();
    for program in interpreters().values() {
        let output = run(&folder, program, "end");
        let mut lines: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
        assert_eq!(lines.first(), Some(&"atexit"), "{program:?}");
        lines.sort_unstable();
        let expected = ["atexit", "finalized by a module", "finalized inside", "generator closed"];
        assert_eq!(lines, expected, "{program:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{program:?}");
        let held = folder.path().join("held");
        assert_eq!(std::fs::read_to_string(&held).unwrap(), "what was held back", "{program:?}");
        std::fs::remove_file(held).unwrap();
    }
}
