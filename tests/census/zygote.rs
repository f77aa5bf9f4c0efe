//! The interpreters of this machine, each with the agent in it.

use crate::skip::skip;
use forkprint::cpython::census::Census;
use forkprint::error::Result;
use forkprint::kernel::agent::{Agent, Report, preload};
use forkprint::kernel::spawn::ProcessGroup;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};

/// What every script begins with: `census()` takes one, `tell()` prints a line, `wait()` for one.
const PRELUDE: &str = "
import importlib.machinery, importlib.util, json, os, sys
def tell(value): print(json.dumps(value), flush=True)
def wait(): sys.stdin.readline()
def load(path):
    loader = importlib.machinery.ExtensionFileLoader('_forkprint_agent', path)
    agent = importlib.util.module_from_spec(importlib.util.spec_from_loader('_forkprint_agent', loader))
    loader.exec_module(agent)
    agent.configure(int(os.environ['FORKPRINT_TEST_SOCKET']))
    return agent.census
census = load(os.environ['FORKPRINT_TEST_AGENT'])
";

/// An interpreter that runs a script. Ends when dropped.
pub struct Zygote {
    pub minor: u8,
    agent: Agent,
    process: ProcessGroup,
    output: BufReader<ChildStdout>,
}

impl Zygote {
    fn start(program: &Path, minor: u8, script: &str) -> Self {
        let mut agent = Agent::prepare().unwrap();
        let socket = agent.socket().unwrap();
        let mut command = Command::new(program);
        preload(&mut command, agent.library());
        command
            .args(["-c", &format!("{PRELUDE}{script}")])
            .env("FORKPRINT_TEST_AGENT", agent.library())
            .env("FORKPRINT_TEST_SOCKET", socket.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = ProcessGroup::spawn(command, vec![socket]).unwrap();
        agent.started();
        let output = BufReader::new(process.child().stdout.take().unwrap());
        Self { minor, agent, process, output }
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The next line that the script prints.
    pub fn told(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("3.{}: {error}: {line:?}", self.minor))
    }

    /// Lets a script go on that waits.
    pub fn go_on(&mut self) {
        self.process.child().stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// The one census that was taken since the last.
    pub fn census(&mut self) -> Result<Census> {
        let mut reports = self.agent.reports().unwrap();
        assert_eq!(reports.len(), 1, "3.{}: {reports:?}", self.minor);
        match reports.remove(0) {
            Report::Census { memory, .. } => Census::read(memory),
            other => panic!("3.{}: {other:?}", self.minor),
        }
    }
}

/// Starts an interpreter of each version that is installed.
pub fn every_zygote(script: &str) -> impl Iterator<Item = Zygote> {
    (9..14).filter_map(move |minor| {
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

/// The path of an owner, as a user reads it.
pub fn path(census: &Census, node: u32) -> String {
    let mut labels = Vec::new();
    let mut at = Some(node);
    while let Some((above, label)) = at.and_then(|index| census.node(index)) {
        labels.push(label);
        at = above;
    }
    labels.iter().rev().map(String::as_str).collect()
}
