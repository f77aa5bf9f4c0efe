//! The interpreters of this machine, each started with a script that tells what it made and then waits.

use crate::skip::skip;
use forkprint::cpython::offsets::Offsets;
use forkprint::kernel::remote::SharedMemory;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The least minor version whose layouts are known, and one past the last.
const KNOWN: std::ops::Range<u8> = 9..14;

/// A waiting interpreter. Ends when dropped.
pub struct Target {
    child: Child,
    pub name: String,
    pub offsets: Offsets,
    pub memory: SharedMemory,
    /// What the script printed.
    pub told: Value,
}

impl Target {
    fn start(program: &PathBuf, version: (u8, u8), script: &str) -> Self {
        let mut child = Command::new(program)
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self {
            name: program.display().to_string(),
            offsets: Offsets::of_version(version).unwrap(),
            memory: SharedMemory::open(child.id()).unwrap(),
            told: serde_json::from_str(&line).unwrap_or_else(|error| panic!("{program:?}: {error}: {line}")),
            child,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A list or object that the script told.
    pub fn list(&self, name: &str) -> &[Value] {
        self.told[name].as_array().unwrap_or_else(|| panic!("{}: no {name}", self.name))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

/// A number that the script told.
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Starts every interpreter found, one of each version.
pub fn every_interpreter(script: &str) -> impl Iterator<Item = Target> {
    let found = found();
    for minor in KNOWN.filter(|minor| !found.contains_key(&(3, *minor))) {
        skip(format!("no CPython 3.{minor} on this machine"));
    }
    found.into_iter().map(move |(version, program)| Target::start(&program, version, script))
}

fn found() -> BTreeMap<(u8, u8), PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let installed = std::fs::read_dir(format!("{home}/.pyenv/versions")).into_iter().flatten();
    let mut candidates: Vec<PathBuf> = installed
        .map(|entry| entry.unwrap().path().join("bin/python3"))
        .filter(|path| path.exists())
        .collect();
    candidates.push("/usr/bin/python3".into());
    candidates.push("python3".into());
    let known =
        |path: PathBuf| version(&path).filter(|(_, minor)| KNOWN.contains(minor)).map(|is| (is, path));
    candidates.into_iter().rev().filter_map(known).collect()
}

/// `None` for what is no `CPython` with a GIL.
fn version(program: &PathBuf) -> Option<(u8, u8)> {
    const PRINT: &str = "import sys, sysconfig
if sys.implementation.name == 'cpython' and not sysconfig.get_config_var('Py_GIL_DISABLED'):
    print('%d %d' % sys.version_info[:2])";
    let mut child = Command::new(program).args(["-c", PRINT]).stdout(Stdio::piped()).spawn().ok()?;
    let mut text = String::new();
    child.stdout.take()?.read_to_string(&mut text).ok()?;
    child.wait().ok()?;
    let (major, minor) = text.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
