//! The effective settings of a configuration, as gunicorn itself reads them.

use super::log::quote;
use super::package;
use crate::error::{Context, Error, Result};
use crate::interrupt;
use crate::kernel::spawn::ProcessGroup;
use crate::variant::Variant;
use serde::Deserialize;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Asks gunicorn for its settings; see the file.
const SCRIPT: &str = include_str!("settings.py");

/// Tells the script where the package is, for a configuration that imports it.
const PACKAGE: &str = "FORKPRINT_PACKAGE";

/// Configurations are programs; one that has not ended after this long never will.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Which gunicorn to run, and with what.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The interpreter that has gunicorn and the application.
    pub python: PathBuf,
    /// The configuration, as `gunicorn -c` takes it: a file, `file:…` or `python:module`.
    pub config: String,
    /// More arguments of gunicorn, after the configuration.
    pub extra: Vec<String>,
    /// What an experiment changes.
    pub variant: Variant,
}

impl Invocation {
    /// The command line of gunicorn, without the program.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        ["-c", self.config.as_str()].into_iter().chain(self.extra.iter().map(String::as_str))
    }

    /// The configuration's file; `None` when it is a module.
    pub fn config_file(&self) -> Option<&Path> {
        if self.config.starts_with("python:") {
            return None;
        }
        Some(Path::new(self.config.strip_prefix("file:").unwrap_or(&self.config)))
    }
}

/// The settings that decide what a family shares, after file, environment and command line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Settings {
    /// Version of the interpreter.
    pub python: (u8, u8, u8),
    /// `CPython` or `PyPy`.
    pub implementation: String,
    /// Version of gunicorn.
    pub gunicorn_version: String,
    /// The application, `module:name`.
    pub wsgi_app: Option<String>,
    /// Number of workers.
    pub workers: u32,
    /// `sync`, `gthread`, `gevent` or a path.
    pub worker_class: String,
    /// Threads in each worker.
    pub threads: u32,
    /// Whether the master loads the application before it forks.
    pub preload_app: bool,
    /// Requests after which a worker is replaced; zero for never.
    pub max_requests: u64,
    /// Greatest random addition to `max_requests`.
    pub max_requests_jitter: u64,
    /// Seconds after which a silent worker is killed; zero for never.
    pub timeout: u64,
    /// Seconds a worker has to finish when asked to stop.
    pub graceful_timeout: u64,
    /// Addresses a deployment serves on; measurements use a free loopback port.
    pub bind: Vec<String>,
    /// Working directory of the application.
    pub chdir: PathBuf,
    /// Whether workers restart when the code changes.
    pub reload: bool,
    /// Whether a deployment serves TLS.
    pub tls: bool,
    /// `http` or `uwsgi`.
    pub protocol: String,
    /// Processes of the family that gunicorn forks beside its workers.
    pub dirty_workers: u32,
    /// Names of the variables in `raw_env`; the values stay where they are.
    pub raw_env_names: Vec<String>,
    /// Functions of module `gc` that the configuration calls.
    pub config_gc_calls: Vec<String>,
    /// Names in the configuration that gunicorn ignores, though they are almost those of settings.
    pub misspelled: Vec<Misspelled>,
    /// The configuration's docstring.
    pub description: String,
}

/// A name in a configuration that is almost that of a setting or a hook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Misspelled {
    /// The name as it stands there.
    pub name: String,
    /// Line in the configuration, from 1.
    pub line: u32,
    /// The setting or hook with the nearest name.
    pub meant: String,
}

impl Settings {
    /// Loads a configuration in the target's interpreter, the way gunicorn does.
    pub fn load(invocation: &Invocation) -> Result<Self> {
        if let Some(file) = invocation.config_file() {
            require_file(file)?;
        }
        let mut asked = Asked::start(invocation)?;
        let status = asked.wait()?;
        let stderr = asked.stderr()?;
        if !status.success() {
            return Err(refused(invocation, &stderr));
        }
        match serde_json::from_str(&asked.stdout()?) {
            Ok(Answer::Settings { settings }) => Ok(*settings),
            Ok(Answer::Missing { missing, executable }) => Err(not_installed(&missing, &executable)),
            Err(error) => Err(Error::new("cannot read the settings gunicorn would run with")
                .location(&invocation.config)
                .why(format!("{error}\n{}", quote(&stderr)))
                .fix("arguments after -- must start a server (no --version, --help)")),
        }
    }
}

fn require_file(path: &Path) -> Result<()> {
    const WHAT: &str = "cannot read the configuration";
    let found = File::open(path).and_then(|file| file.metadata()).at(WHAT, path).map_err(|error| {
        error.fix("check the path: a configuration is a file, file:PATH or python:MODULE")
    })?;
    if found.is_dir() {
        return Err(Error::new(WHAT).path(path).why("it is a folder").fix("name the configuration in it"));
    }
    Ok(())
}

/// What the script printed.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Missing { missing: String, executable: String },
    Settings { settings: Box<Settings> },
}

/// The script while it runs.
struct Asked {
    /// Kept until the script has ended.
    _package: TempDir,
    group: ProcessGroup,
    python: PathBuf,
    config: String,
    stdout: File,
    stderr: File,
}

impl Asked {
    fn start(invocation: &Invocation) -> Result<Self> {
        let file = || tempfile::tempfile().doing("cannot create a temporary file");
        let (stdout, stderr) = (file()?, file()?);
        let package = TempDir::with_prefix("forkprint-").doing("cannot create a temporary folder")?;
        let mut command = Command::new(&invocation.python);
        package::write(package.path())?;
        command.env(PACKAGE, package.path());
        command.args(["-c", SCRIPT]).args(invocation.arguments()).stdin(Stdio::null());
        command.stdout(stdout.try_clone().doing("cannot share a temporary file")?);
        command.stderr(stderr.try_clone().doing("cannot share a temporary file")?);
        let group = ProcessGroup::spawn(command, Vec::new())
            .map_err(|error| error.fix("name an interpreter that has gunicorn: --python PATH"))?;
        Ok(Self {
            _package: package,
            group,
            python: invocation.python.clone(),
            config: invocation.config.clone(),
            stdout,
            stderr,
        })
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            interrupt::check()?;
            if let Some(status) = self.group.wait_until(Instant::now() + POLL) {
                return Ok(status);
            }
        }
        Err(Error::new("the configuration did not finish loading").location(&self.config).why(format!(
            "{} still ran after {} s",
            self.python.display(),
            DEADLINE.as_secs()
        )))
    }

    fn stdout(&mut self) -> Result<String> {
        read_back(&mut self.stdout)
    }

    fn stderr(&mut self) -> Result<String> {
        read_back(&mut self.stderr)
    }
}

fn read_back(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .doing("cannot read what the configuration printed")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn refused(invocation: &Invocation, stderr: &str) -> Error {
    let error = Error::new("gunicorn refuses the configuration").location(&invocation.config);
    let message = ["\nError: ", "gunicorn: error: ", "Failed to read config file"]
        .iter()
        .filter_map(|mark| stderr.rfind(mark))
        .min()
        .map_or(stderr, |start| &stderr[start..]);
    error.why(in_short(message.trim())).fix("correct it until `gunicorn --check-config` accepts it")
}

/// gunicorn's own sentence; where it wraps a traceback, that one's last line too.
fn in_short(message: &str) -> String {
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "]");
    match (lines.next(), lines.next_back()) {
        (Some(first), Some(last)) if first.starts_with("Error: ") => format!("{first}\n{last}"),
        _ => quote(message),
    }
}

fn not_installed(module: &str, executable: &str) -> Error {
    Error::new(format!("{module} is not installed"))
        .location(executable)
        .why(format!("this interpreter cannot import {module}"))
        .fix(format!("{executable} -m pip install {module}, or name another one with --python"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_may_be_a_file_or_a_module() {
        let of = |config: &str| Invocation {
            python: "python3".into(),
            config: config.into(),
            extra: Vec::new(),
            variant: Variant::default(),
        };
        assert_eq!(of("file:a/b.py").config_file(), Some(Path::new("a/b.py")));
        assert_eq!(of("b.py").config_file(), Some(Path::new("b.py")));
        assert_eq!(of("python:settings").config_file(), None);
    }

    #[test]
    fn the_refusal_is_quoted_in_gunicorns_words() {
        let invocation = Invocation {
            python: "python3".into(),
            config: "c.py".into(),
            extra: Vec::new(),
            variant: Variant::default(),
        };
        let error = refused(&invocation, "noise\n\nError: Value must be positive: -3\n").to_string();
        assert!(error.contains("why:   Error: Value must be positive: -3"), "{error}");
        assert!(!error.contains("noise"), "{error}");
        let wrapped = "\nError: class uri 'x' invalid or not found: \n\n[Traceback (most recent call last):\n  File \"a.py\", line 1\nImportError: none\n]\n";
        let error = refused(&invocation, wrapped).to_string();
        assert!(error.contains("invalid or not found:\n         ImportError: none\n"), "{error}");
    }
}
