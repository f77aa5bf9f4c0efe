//! A gunicorn master of ours: started, listened to and stopped.

use super::event::Event;
use super::log::quote;
use super::package;
use super::settings::Invocation;
use crate::error::{Context, Error, Result};
use crate::interrupt;
use crate::kernel::agent::Agent;
use crate::kernel::spawn::{ProcessGroup, describe_exit, wait_for_exit};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Starts gunicorn and reports its forks; see the file.
const RUNNER: &str = include_str!("runner.py");

/// Libraries that the dynamic linker loads before all others, separated by colons.
const PRELOAD: &str = "LD_PRELOAD";

/// How long one wait for the socket lasts; Ctrl-C is noticed after it.
const POLL: Duration = Duration::from_millis(50);

/// How long workers may take to stop when the measurement is over.
const GRACE: Duration = Duration::from_secs(10);

/// A running master, killed with its workers when dropped, or when this process dies.
#[derive(Debug)]
pub struct Master {
    group: ProcessGroup,
    control: UnixStream,
    /// Its end in the master has the kernel kill the whole group when this end closes.
    _lifeline: UnixStream,
    unread: Vec<u8>,
    address: SocketAddr,
    config: String,
    log: PathBuf,
    _folder: TempDir,
}

impl Master {
    /// Starts gunicorn on a free loopback port, with the agent preloaded where there is one.
    pub fn start(invocation: &Invocation, agent: Option<&Agent>) -> Result<Self> {
        let folder = TempDir::with_prefix("forkprint-").doing("cannot create a temporary folder")?;
        let runner = folder.path().join("runner.py");
        fs::write(&runner, RUNNER).at("cannot write the runner", &runner)?;
        package::write(&folder.path().join("package"))?;
        let log = folder.path().join("gunicorn.log");
        let output = File::create(&log).at("cannot create a log", &log)?;
        let errors = output.try_clone().at("cannot share the log", &log)?;

        let listener = TcpListener::bind("127.0.0.1:0").doing("cannot listen on the loopback interface")?;
        let address = listener.local_addr().doing("cannot learn the port")?;
        let pair = || UnixStream::pair().doing("cannot create a socket pair");
        let ((control, control_of_master), (lifeline, lifeline_of_master)) = (pair()?, pair()?);
        control.set_read_timeout(Some(POLL)).doing("cannot set a socket's timeout")?;

        // The master keeps its descriptors under our numbers; ours close at the end of this scope,
        // so that requests to a master that has died are refused.
        let watcher = agent.and_then(|agent| Some((agent.socket()?, agent.library())));
        let mut kept =
            vec![control_of_master.as_raw_fd(), listener.as_raw_fd(), lifeline_of_master.as_raw_fd()];
        let mut command = Command::new(&invocation.python);
        command.arg(&runner).args(kept.iter().map(ToString::to_string));
        match watcher {
            Some((socket, library)) => {
                kept.push(socket);
                command.arg(socket.to_string()).arg(library).env(PRELOAD, preload(library));
            }
            None => {
                command.args(["-1", ""]);
            }
        }
        command.args(invocation.arguments()).stdin(Stdio::null()).stdout(output).stderr(errors);
        let group = ProcessGroup::spawn(command, kept)?;
        Ok(Self {
            group,
            control,
            _lifeline: lifeline,
            unread: Vec::new(),
            address,
            config: invocation.config.clone(),
            log,
            _folder: folder,
        })
    }

    /// Process id of the master.
    pub fn pid(&self) -> u32 {
        self.group.pid()
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next message, if one comes within a short wait. Fails when the master has left.
    pub fn poll(&mut self) -> Result<Option<Event>> {
        interrupt::check()?;
        if let Some(event) = self.buffered()? {
            return Ok(Some(event));
        }
        let mut bytes = [0; 4096];
        match self.control.read(&mut bytes) {
            Ok(0) => {
                // The socket is closed: the master ends, or a child of it holds nothing to say.
                self.group.wait_until(Instant::now() + POLL);
                self.check_alive()?;
            }
            Ok(count) => self.unread.extend_from_slice(&bytes[..count]),
            Err(error) if is_timeout(&error) => self.check_alive()?,
            Err(error) => return Err(Error::new("cannot read from the runner").pid(self.pid()).why(error)),
        }
        self.buffered()
    }

    /// What has been said so far, without waiting.
    pub fn pending(&mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        self.control.set_nonblocking(true).doing("cannot read from the runner without waiting")?;
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = self.control.read(&mut bytes) {
            self.unread.extend_from_slice(&bytes[..count]);
        }
        self.control.set_nonblocking(false).doing("cannot wait for the runner")?;
        while let Some(event) = self.buffered()? {
            events.push(event);
        }
        Ok(events)
    }

    /// Lets the master fork its first worker; first it begins to watch itself and its workers, if so told.
    pub fn go(&mut self, watch: bool) -> Result<()> {
        self.control.write_all(if watch { b"w" } else { b"g" }).doing("cannot let gunicorn fork")
    }

    /// Fails when the master has left, in the words of its log.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.group.wait_until(Instant::now()) {
            None => Ok(()),
            Some(status) => Err(self.failure(&format!("gunicorn ended with {}", describe_exit(status)))),
        }
    }

    /// An error that quotes the log.
    pub fn failure(&self, what: &str) -> Error {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let error = Error::new(what).location(&self.config);
        let error = if log.trim().is_empty() { error } else { error.why(quote(&log)) };
        match missing_module(&log) {
            Some(module) => error.fix(format!(
                "start forkprint in the folder that holds {module} (or add: -- --chdir FOLDER), or install it for this interpreter"
            )),
            None => error,
        }
    }

    /// Stops the master and its `children`; what does not stop is killed. Returns when all are gone.
    pub fn stop(mut self, children: &[u32]) {
        self.group.stop(GRACE);
        let deadline = Instant::now() + GRACE;
        for &child in children {
            wait_for_exit(child, deadline);
        }
    }

    fn buffered(&mut self) -> Result<Option<Event>> {
        let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
        let line: Vec<u8> = self.unread.drain(..=end).collect();
        let line = String::from_utf8_lossy(&line);
        Event::parse(&line).map(Some).ok_or_else(|| {
            Error::new("cannot understand the runner")
                .pid(self.pid())
                .why(format!("it said {:?}", line.trim_end()))
        })
    }
}

/// What the dynamic linker is to preload: the agent, then what the user has it preload already.
fn preload(library: &Path) -> OsString {
    let mut list = library.as_os_str().to_owned();
    if let Some(users) = std::env::var_os(PRELOAD).filter(|users| !users.is_empty()) {
        list.push(":");
        list.push(users);
    }
    list
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn missing_module(log: &str) -> Option<&str> {
    let (_, rest) = log.rsplit_once("ModuleNotFoundError: No module named '")?;
    rest.split_once('\'').map(|(module, _)| module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_that_python_misses_is_named() {
        assert_eq!(missing_module("x\nModuleNotFoundError: No module named 'shop'\n"), Some("shop"));
        assert_eq!(missing_module("ValueError: 'shop'"), None);
    }
}
