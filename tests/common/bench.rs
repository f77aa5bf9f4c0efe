//! A folder for made-up workloads, and the built program run on them with a deadline.

use forkprint::kernel::spawn::wait_for_exit;
use serde_json::Value;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No run of a test takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder of its own for each test: its path also marks the processes that belong to the test.
pub struct Bench {
    folder: TempDir,
    /// The program, after those that start it.
    program: Vec<OsString>,
    adjust: Box<dyn Fn(&mut Command)>,
}

#[allow(dead_code, reason = "not every test starts the program in an unusual way")]
impl Bench {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            program: vec![env!("CARGO_BIN_EXE_forkprint").into()],
            adjust: Box::new(|_| ()),
        }
    }

    /// Starts the program by other words.
    pub fn started_by(mut self, program: Vec<OsString>) -> Self {
        self.program = program;
        self
    }

    /// Changes every command before it is started.
    pub fn adjusted(mut self, adjust: impl Fn(&mut Command) + 'static) -> Self {
        self.adjust = Box::new(adjust);
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `forkprint` in the folder, to its end.
    pub fn forkprint(&self, arguments: &[&str]) -> Outcome {
        self.start(arguments).wait()
    }

    /// Starts `forkprint` in the folder and in a process group of its own.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let (out, err) = (self.path(".stdout"), self.path(".stderr"));
        let mut command = Command::new(&self.program[0]);
        command
            .args(&self.program[1..])
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .process_group(0);
        (self.adjust)(&mut command);
        Running { child: command.spawn().unwrap(), out, err }
    }
}

/// `forkprint` under way; dropped, it is killed.
pub struct Running {
    /// Its process id is also that of its group.
    pub child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    pub fn wait(mut self) -> Outcome {
        let ended = wait_for_exit(self.child.id(), Instant::now() + PATIENCE);
        assert!(ended, "forkprint hangs; it said:\n{}", text(&self.err));
        let status = self.child.wait().unwrap();
        Outcome { status, stdout: text(&self.out), stderr: text(&self.err) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}

/// How `forkprint` ended and what it printed.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

#[allow(dead_code, reason = "not every test reads its JSON from the standard output")]
impl Outcome {
    /// The JSON on standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in:\n{}\n{}", self.stdout, self.stderr))
    }

    /// It ended well; the JSON it printed.
    pub fn success(&self) -> Value {
        assert!(self.status.success(), "{}: {}", self.status, self.stderr);
        self.json()
    }
}
