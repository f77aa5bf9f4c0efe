//! The interpreters of this machine, each with the agent in it: what a script made there, as the
//! supervisor would see it.

use crate::skip::skip;
use forkprint::cpython::census::Census;
use forkprint::cpython::offsets::Offsets;
use forkprint::family::Vma;
use forkprint::kernel::agent::{Agent, Report};
use forkprint::kernel::remote::SharedMemory;
use forkprint::kernel::spawn::ProcessGroup;
use forkprint::observe::{ProcRoot, read_process};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Minor versions whose layouts are known.
const KNOWN: std::ops::Range<u8> = 9..14;

/// A process that waits after its census. Ends when dropped.
pub struct Zygote {
    _process: ProcessGroup,
    pub minor: u8,
    pub offsets: Offsets,
    pub memory: SharedMemory,
    pub areas: Vec<Vma>,
    pub census: Census,
    /// What the script printed.
    pub told: Value,
}

impl Zygote {
    fn start(program: &Path, minor: u8, script: &str) -> Self {
        let mut agent = Agent::prepare().unwrap();
        let socket = agent.socket().unwrap();
        let mut command = Command::new(program);
        command
            .args(["-c", script])
            .env("LD_PRELOAD", agent.library())
            .env("FORKPRINT_TEST_SOCKET", socket.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = ProcessGroup::spawn(command, vec![socket]).unwrap();
        agent.started();
        let mut line = String::new();
        BufReader::new(process.child().stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told = serde_json::from_str(&line).unwrap_or_else(|error| panic!("3.{minor}: {error}: {line}"));
        let census = agent.reports().unwrap().into_iter().find_map(|report| match report {
            Report::Census { memory, .. } => Some(memory),
            _ => None,
        });
        Self {
            minor,
            offsets: Offsets::of_version((3, minor)).unwrap(),
            memory: SharedMemory::open(process.pid()).unwrap(),
            areas: read_process(&ProcRoot::system(), process.pid()).unwrap().vmas,
            census: Census::read(census.unwrap()).unwrap(),
            told,
            _process: process,
        }
    }

    /// A list that the script told.
    pub fn list(&self, name: &str) -> &[Value] {
        self.told[name].as_array().unwrap_or_else(|| panic!("3.{}: no {name}", self.minor))
    }
}

/// A number that the script told.
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Starts an interpreter of each version that is installed.
pub fn every_zygote(script: &str) -> impl Iterator<Item = Zygote> {
    KNOWN.rev().filter_map(move |minor| {
        let program = installed(minor);
        if program.is_none() {
            skip(format!("no CPython 3.{minor} on this machine"));
        }
        program.map(|program| Zygote::start(&program, minor, script))
    })
}

fn installed(minor: u8) -> Option<PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let versions = std::fs::read_dir(format!("{home}/.pyenv/versions")).into_iter().flatten().flatten();
    let prefix = format!("3.{minor}.");
    versions
        .filter(|version| version.file_name().to_string_lossy().starts_with(&prefix))
        .map(|version| version.path().join("bin/python3"))
        .chain([format!("/usr/bin/python3.{minor}").into()])
        .find(|path| path.exists())
}
