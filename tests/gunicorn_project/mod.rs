//! A throw-away gunicorn project, and `forkprint analyze` run on it.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

const FORKPRINT: &str = env!("CARGO_BIN_EXE_forkprint");
const PATIENCE: Duration = Duration::from_secs(60);
const NOBODY: &str = "65534";

/// A folder with a configuration and an application.
pub struct Project {
    folder: TempDir,
    python: String,
}

/// How `forkprint analyze` ended.
pub struct Outcome {
    pub code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// `forkprint analyze` under way.
pub struct Running {
    child: Child,
    folder: PathBuf,
}

impl Project {
    /// `None`, and a skip that is counted, where no interpreter has gunicorn.
    pub fn new() -> Option<Self> {
        let python = python_with_gunicorn()?;
        Some(Self { folder: tempfile::tempdir().unwrap(), python })
    }

    pub fn write(&self, name: &str, text: &str) -> &Self {
        fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    pub fn analyze(&self, arguments: &[&str]) -> Outcome {
        self.analyze_with(arguments, |command| command)
    }

    pub fn analyze_with(
        &self,
        arguments: &[&str],
        change: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Outcome {
        let mut command = self.command(arguments);
        change(&mut command);
        command.output().unwrap().into()
    }

    /// `forkprint advise` with these arguments.
    pub fn advise(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(FORKPRINT);
        self.fill(&mut command, "advise", arguments);
        command.output().unwrap().into()
    }

    pub fn start_advising(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(FORKPRINT);
        self.fill(&mut command, "advise", arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running { child: command.spawn().unwrap(), folder: self.folder.path().to_owned() }
    }

    /// Every file below the project's folder with its bytes and when it was changed last.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>, SystemTime)> {
        let (mut pending, mut found) = (vec![self.folder.path().to_owned()], Vec::new());
        while let Some(folder) = pending.pop() {
            for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    pending.push(path);
                } else {
                    let changed = fs::metadata(&path).unwrap().modified().unwrap();
                    found.push((path.clone(), fs::read(&path).unwrap(), changed));
                }
            }
        }
        found.sort();
        found
    }

    /// Analyzes the shop of the workloads.
    pub fn analyze_shop(&self, more: &[&str]) -> Outcome {
        let shop = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/servers/gunicorn_shop");
        let (config, load) = (format!("{shop}/gunicorn.conf.py"), format!("{shop}/load.toml"));
        self.analyze(&[&[&config, "--load", &load], more].concat())
    }

    /// Puts the shop of the workloads into the project's folder.
    pub fn copy_shop(&self) -> &Self {
        let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/servers/gunicorn_shop");
        for name in ["gunicorn.conf.py", "shop.py", "load.toml"] {
            fs::copy(shop.join(name), self.folder.path().join(name)).unwrap();
        }
        self
    }

    /// What the interpreter says it is: `CPython 3.13.0`.
    pub fn python_version(&self) -> String {
        let program = "import platform as p; print(p.python_implementation(), p.python_version())";
        let output = Command::new(&self.python).args(["-c", program]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// An interpreter that the dynamic linker preloads nothing into, as a static one.
    pub fn python_without_preloads(&self) -> String {
        let path = self.folder.path().join("python");
        fs::write(&path, format!("#!/bin/sh\nunset LD_PRELOAD\nexec '{}' \"$@\"\n", self.python)).unwrap();
        open_to_everyone(&path);
        path.to_str().unwrap().to_owned()
    }

    /// Runs as a user without privileges; only root can.
    pub fn analyze_as_nobody(&self, arguments: &[&str]) -> Outcome {
        open_to_everyone(self.folder.path());
        let binary = self.folder.path().join("forkprint");
        fs::copy(FORKPRINT, &binary).unwrap();
        open_to_everyone(&binary);
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"]).arg(binary);
        self.fill(&mut command, "analyze", arguments);
        command.output().unwrap().into()
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running { child: command.spawn().unwrap(), folder: self.folder.path().to_owned() }
    }

    /// No process works in the project's folder any more.
    pub fn assert_nothing_left(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let left = processes_in(self.folder.path());
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left behind: {left:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(FORKPRINT);
        self.fill(&mut command, "analyze", arguments);
        command
    }

    fn fill(&self, command: &mut Command, verb: &str, arguments: &[&str]) {
        command.current_dir(self.folder.path()).env_remove("GUNICORN_CMD_ARGS").env_remove("PORT");
        command.env("PYTHONDONTWRITEBYTECODE", "1").args([verb, "--format", "json"]);
        if !arguments.contains(&"--python") {
            command.args(["--python", &self.python]);
        }
        command.args(arguments);
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Outcome {
    /// The recording of a measurement that went well.
    pub fn success(self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.recording()
    }

    /// The message of one that did not.
    pub fn failure(self) -> String {
        assert_eq!(self.code, Some(2), "{}\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self.stderr
    }

    pub fn recording(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.stdout, self.stderr))
    }
}

impl Running {
    /// The pids of the master's children: the frozen sibling and the workers.
    pub fn wait_for_workers(&mut self, workers: usize) -> Vec<u32> {
        self.wait_until("the workers", |running| {
            let masters = running.masters();
            let children: Vec<u32> = masters.iter().flat_map(|&master| children(master)).collect();
            (children.len() > workers).then_some(children)
        })
    }

    /// Waits until the master runs: after the settings were read.
    pub fn wait_for_master(&mut self) -> u32 {
        self.wait_until("the master", |running| {
            running.masters().into_iter().find(|&pid| runs_the_runner(pid))
        })
    }

    /// Waits until a worker has used processor time that only requests need.
    pub fn wait_for_requests(&mut self) {
        self.wait_until("requests", |running| {
            let busy =
                running.masters().iter().flat_map(|&master| children(master)).any(|pid| ticks(pid) > 20);
            busy.then_some(())
        });
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status: ExitStatus| status.success()));
    }

    pub fn finish(self) -> Outcome {
        self.child.wait_with_output().unwrap().into()
    }

    fn masters(&self) -> Vec<u32> {
        processes_in(&self.folder).into_iter().filter(|&pid| parent(pid) == Some(self.child.id())).collect()
    }

    fn wait_until<T>(&mut self, what: &str, mut see: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(seen) = see(self) {
                return seen;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "forkprint ended before {what}");
            assert!(Instant::now() < deadline, "no {what} in time");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Whether a process has ended (a zombie that nobody has reaped yet has, too).
pub fn is_gone(pid: u32) -> bool {
    stat(pid).is_none_or(|fields| fields[0] == "Z" || fields[0] == "X")
}

fn processes_in(folder: &Path) -> Vec<u32> {
    let numbers =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter(|&pid: &u32| {
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder) && !is_gone(pid)
        })
        .collect()
}

fn runs_the_runner(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| String::from_utf8_lossy(&line).contains("/runner.py"))
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|child| child.parse().ok()).collect()
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?[1].parse().ok()
}

/// Processor time in user mode, in clock ticks.
fn ticks(pid: u32) -> u64 {
    stat(pid).and_then(|fields| fields[11].parse().ok()).unwrap_or(0)
}

/// The fields of `/proc/PID/stat` from the state on.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split_ascii_whitespace().map(str::to_owned).collect())
}

fn open_to_everyone(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn imports(command: &mut Command, modules: &str) -> bool {
    command
        .args(["-c", &format!("import {modules}")])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn python_with_gunicorn() -> Option<String> {
    let python = std::env::var("FORKPRINT_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    if imports(&mut Command::new(&python), "gunicorn, flask") {
        return Some(python);
    }
    skip(&format!("{python} has no gunicorn and flask; name one that has in FORKPRINT_TEST_PYTHON"));
    None
}

/// An interpreter without gunicorn: the one the virtual environment was made from.
pub fn python_without_gunicorn() -> Option<String> {
    let candidates = ["/usr/bin/python3", "python3"];
    let found = candidates.into_iter().find(|python| {
        imports(&mut Command::new(python), "sys") && !imports(&mut Command::new(python), "gunicorn")
    });
    if found.is_none() {
        skip("every interpreter here has gunicorn");
    }
    found.map(str::to_owned)
}

/// An interpreter with gunicorn that an ordinary user may execute; `FORKPRINT_TEST_PUBLIC_PYTHON`.
pub fn python_for_everyone() -> Option<String> {
    let python =
        std::env::var("FORKPRINT_TEST_PUBLIC_PYTHON").or_else(|_| std::env::var("FORKPRINT_TEST_PYTHON"));
    let python = python.unwrap_or_else(|_| "python3".into());
    let mut as_nobody = Command::new("setpriv");
    // Through a shell, as forkprint starts it: what setpriv itself starts still has its privileges.
    let through_a_shell = ["sh", "-c", "exec \"$@\"", "sh", &python];
    as_nobody.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"]).args(through_a_shell);
    as_nobody.current_dir("/");
    if imports(&mut as_nobody, "gunicorn") {
        return Some(python);
    }
    skip(
        "no interpreter with gunicorn that an ordinary user may run (FORKPRINT_TEST_PUBLIC_PYTHON), or not root",
    );
    None
}

fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}
