//! The shared library of the interpreter that the built program links.

use std::path::PathBuf;
use std::process::Command;

/// Where the dynamic linker finds it.
pub fn of_the_program() -> PathBuf {
    let mut program = Command::new(env!("CARGO_BIN_EXE_forkprint"));
    let told = program.env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap().stdout;
    let told = String::from_utf8(told).unwrap();
    let line = told.lines().find(|line| line.contains("libpython")).unwrap();
    line.split_whitespace().nth(2).unwrap().into()
}
