//! psutil's loop over the same processes, timed by itself inside a Python of its own.

use crate::bounds::Cost;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const PROGRAM: &str = "
import sys, time, warnings
warnings.simplefilter('ignore')
import psutil
print(psutil.__version__, flush=True)
processes = [psutil.Process(int(pid)) for pid in sys.argv[1:]]
for line in sys.stdin:
    start, busy = time.perf_counter(), time.process_time()
    for process in processes:
        process.memory_full_info()
    print(time.perf_counter() - start, time.process_time() - busy, flush=True)
";

/// A Python that answers each line with the time of one loop.
pub struct Psutil {
    pub version: String,
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    _environment: Option<tempfile::TempDir>,
}

impl Psutil {
    /// Takes the `python3` on PATH when it has psutil, else installs psutil into a throw-away
    /// environment.
    pub fn start(pids: &[u32]) -> Result<Self, String> {
        let (python, environment) = python()?;
        let mut child = Command::new(python)
            .args(["-c", PROGRAM])
            .args(pids.iter().map(u32::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let commands = child.stdin.take().ok_or("no pipe")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut psutil = Self { version: String::new(), child, commands, answers, _environment: environment };
        psutil.version = psutil.line();
        psutil.memory_full_info();
        Ok(psutil)
    }

    /// The cost of one loop over all processes.
    pub fn memory_full_info(&mut self) -> Cost {
        writeln!(self.commands).expect("python listens");
        let line = self.line();
        let (wall, cpu) = line.split_once(' ').expect("two times");
        Cost { wall: wall.parse().expect("seconds"), cpu: cpu.parse().expect("seconds") }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("python answers");
        line.trim().to_owned()
    }
}

impl Drop for Psutil {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn python() -> Result<(PathBuf, Option<tempfile::TempDir>), String> {
    if run(Path::new("python3"), &["-c", "import psutil"]).is_ok() {
        return Ok(("python3".into(), None));
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    run(Path::new("python3"), &["-m", "venv", &folder.path().display().to_string()])?;
    let python = folder.path().join("bin/python");
    run(&python, &["-m", "pip", "install", "--quiet", "--timeout", "5", "--retries", "1", "psutil"])?;
    Ok((python, Some(folder)))
}

fn run(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let complaint = || String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("failed").to_owned();
    if output.status.success() { Ok(()) } else { Err(complaint()) }
}
