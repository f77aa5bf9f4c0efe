//! The measured side: loads a workload, then forks on command.

use super::protocol::{Channel, Ending, FromZygote, Frozen, LOST, Loaded, ToZygote, Watching, pairs};
use super::worker;
use crate::error::{Error, Result};
use crate::family::PageRanges;
use crate::kernel::agent::Inside;
use crate::kernel::spawn::{adopt_fd, die_with_parent, exit_now, freeze_sibling};
use crate::kernel::uffd::WriteTracker;
use crate::observe::ProcRoot;
use crate::observe::maps::read_identity;
use crate::runtimes::{self, ForkSide, Runtime, Workload};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};
use serde::{Deserialize, Serialize};
use std::os::fd::RawFd;
use std::path::PathBuf;

/// What the supervisor tells its re-executed self on the command line.
#[derive(Debug, Serialize, Deserialize)]
pub struct ZygoteSpec {
    /// What to load.
    pub workload: Workload,
    /// Whether the text to load instead of the workload's file is the first message: a command line
    /// holds no text of any length.
    #[serde(default)]
    pub text_follows: bool,
    /// Number of the inherited control socket.
    pub control: RawFd,
    /// Numbers of the inherited sockets of the workers.
    pub workers: Vec<RawFd>,
    /// The agent that was preloaded.
    pub agent: Option<AgentSpec>,
}

/// An agent that was preloaded into the zygote.
#[derive(Debug, Serialize, Deserialize)]
pub struct AgentSpec {
    /// Number of the inherited socket on which it reports.
    pub socket: RawFd,
    /// Its file.
    pub library: PathBuf,
    /// Whether it witnesses breaks; else it only lists the objects.
    pub watch: bool,
}

/// Serves as a zygote until told to end. Returns the exit status.
pub fn serve(mut spec: ZygoteSpec) -> i32 {
    // The program may close what it did not open: nothing is adopted once it has run.
    let mut control = adopt(spec.control);
    let workers = spec.workers.into_iter().map(|fd| Some(adopt(fd))).collect();
    let agent = spec.agent.map(|agent| (adopt(agent.socket), agent));
    if spec.text_follows {
        match control.receive() {
            Ok(text) => spec.workload.variant.text = Some(text),
            Err(_) => return cut_off(&control),
        }
    }
    let mut runtime = match runtimes::load(&spec.workload) {
        Ok(runtime) => runtime,
        Err(error) => return i32::from(control.send(&FromZygote::Failed(error)).is_err()),
    };
    let mut zygote = Zygote { workers, tracked: None, tracker: None, agent };
    if control.send(&FromZygote::Loaded(describe(runtime.as_ref()))).is_err() {
        return cut_off(&control);
    }
    loop {
        let answer = match control.receive() {
            Ok(ToZygote::Freeze { track }) => zygote.freeze(runtime.as_mut(), track),
            Ok(ToZygote::Fork { worker }) => zygote.fork(&mut runtime, worker, &mut control),
            Ok(ToZygote::Run { step }) => Ok(FromZygote::Ran(runtime.run_step(step))),
            Ok(ToZygote::Reap { pid }) => Ok(FromZygote::Reaped(reap(pid))),
            Ok(ToZygote::Exit) | Err(_) => return 0,
        };
        if control.send(&answer.unwrap_or_else(FromZygote::Failed)).is_err() {
            return cut_off(&control);
        }
    }
}

/// The exit status when nobody hears us.
fn cut_off(control: &Channel) -> i32 {
    if control.is_open() { 1 } else { LOST }
}

fn describe(runtime: &dyn Runtime) -> Loaded {
    let steps = runtime.steps();
    Loaded {
        runtime: runtime.name().into(),
        version: runtime.version(),
        description: runtime.description(),
        zygote_steps: (0..steps.len()).filter(|&step| runtime.runs_in_zygote(step)).collect(),
        steps,
        notes: runtime.notes(),
        python: runtime.python_version(),
    }
}

/// The zygote's own state between commands.
struct Zygote {
    workers: Vec<Option<Channel>>,
    /// Areas whose writes are tracked in every worker.
    tracked: Option<PageRanges>,
    tracker: Option<WriteTracker>,
    agent: Option<(Channel, AgentSpec)>,
}

impl Zygote {
    fn freeze(&mut self, runtime: &mut dyn Runtime, track: bool) -> Result<FromZygote> {
        runtime.prepare_fork()?;
        let found = |(socket, spec): (Channel, AgentSpec)| {
            let inside = Inside::find().filter(|_| socket.is_open());
            inside.map(|inside| {
                inside.configure(socket.fd());
                (inside, spec)
            })
        };
        let agent = self.agent.take().map(found);
        let watched = match &agent {
            None => Watching::NotAsked,
            Some(None) => Watching::NotPreloaded,
            Some(Some((inside, spec))) => {
                Watching::Since { refused: false, python: runtime.meet_agent(*inside, &spec.library) }
            }
        };
        let own = read_identity(&ProcRoot::system(), std::process::id())?;
        let areas = own.vmas.iter().filter(|vma| vma.copy_on_write() && vma.flags.write);
        let areas: PageRanges = areas.map(|vma| vma.start..vma.end).collect();
        let regions = runtime.regions();
        let sibling = freeze_sibling()?;
        let mut frozen = Frozen {
            pid: sibling.pid,
            regions,
            instrument: pairs(&sibling.instrument),
            tracked: Vec::new(),
            watched,
        };
        if track {
            let areas = self.track(areas)?;
            frozen.tracked = pairs(areas);
        }
        if let Some(Some((inside, spec))) = agent
            && spec.watch
        {
            let watching = inside.watch();
            if let Watching::Since { refused, .. } = &mut frozen.watched {
                *refused = !watching;
            }
        }
        Ok(FromZygote::Frozen(frozen))
    }

    /// Tracks the zygote's own writes. The areas that the kernel accepts are tracked in every
    /// worker, whose address space is the same.
    fn track(&mut self, areas: PageRanges) -> Result<&PageRanges> {
        let mut refused = Vec::new();
        let tracker = WriteTracker::arm(&areas, |index| refused.push(index));
        self.tracker = Some(
            tracker
                .map_err(|errno| Error::new("cannot track writes").why(errno).fix("choose another rung"))?,
        );
        let accepted = areas.into_iter().enumerate().filter(|(index, _)| !refused.contains(index));
        Ok(self.tracked.insert(accepted.map(|(_, area)| area).collect()))
    }

    /// Forks; the worker never returns from here.
    fn fork(
        &mut self,
        runtime: &mut Box<dyn Runtime>,
        index: usize,
        control: &mut Channel,
    ) -> Result<FromZygote> {
        let socket = self.workers.get_mut(index).and_then(Option::take);
        let socket = socket.ok_or_else(|| Error::new(format!("there is no worker {index} to fork")))?;
        let zygote = Pid::this();
        match runtime.fork()? {
            ForkSide::Zygote(pid) => Ok(FromZygote::Forked { pid }),
            ForkSide::Worker => {
                let tracker = self.tracked.as_ref().map(|areas| WriteTracker::arm(areas, |_| {}));
                if die_with_parent().is_err() || getppid() != zygote {
                    exit_now(1);
                }
                self.workers.clear();
                control.close();
                worker::serve(runtime.as_mut(), socket, tracker.as_ref())
            }
        }
    }
}

fn reap(pid: u32) -> Ending {
    match waitpid(Pid::from_raw(pid.cast_signed()), None) {
        Ok(WaitStatus::Exited(_, code)) => Ending::Exited(code),
        Ok(WaitStatus::Signaled(_, signal, _)) => Ending::Killed(signal as i32),
        _ => Ending::Unknown,
    }
}

fn adopt(fd: RawFd) -> Channel {
    Channel::new(adopt_fd(fd).into())
}
