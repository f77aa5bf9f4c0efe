//! The supervisor's side: one zygote, its workers, and the barrier between steps.

use super::protocol::{
    Channel, Ending, FromWorker, FromZygote, Frozen, LOST, Loaded, Silence, ToWorker, ToZygote,
};
use super::zygote::{AgentSpec, ZygoteSpec};
use crate::error::{Context, Error, Result};
use crate::family::Witness;
use crate::family::recording::Fate;
use crate::kernel::agent::{Agent, preload};
use crate::kernel::spawn::{ProcessGroup, describe_exit, kill, signal_name, wait_for_exit};
use crate::runtimes::{StepFailure, Workload};
use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long processes may take to end when they are told to.
const GRACE: Duration = Duration::from_secs(2);

/// A running family: dropped, it is gone, down to the last process.
#[derive(Debug)]
pub struct Family {
    group: ProcessGroup,
    control: Channel,
    sockets: Vec<Option<Channel>>,
    workers: Vec<Worker>,
    deadline: Duration,
}

#[derive(Debug)]
struct Worker {
    pid: u32,
    channel: Channel,
    alive: bool,
}

/// What came of one step in one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// It ended well.
    Done {
        /// How long it took by the worker's clock.
        nanoseconds: u64,
    },
    /// It raised; the worker lives.
    Failed(StepFailure),
    /// The worker ended, or was killed because it hung.
    Ended(Fate),
}

impl Family {
    /// Starts a zygote that will fork up to `workers` workers, and waits until it has loaded.
    ///
    /// `self_command` re-executes this program; every wait on the family lasts `deadline` at most;
    /// `mute` throws away what the workload prints; `agent` is
    /// preloaded, and watches if it is the witness.
    pub fn start(
        self_command: &[OsString],
        workload: &Workload,
        workers: usize,
        deadline: Duration,
        mute: bool,
        agent: Option<(&Agent, Witness)>,
    ) -> Result<(Self, Loaded)> {
        let pair = || UnixStream::pair().doing("cannot make a socket pair");
        let (control, zygote_end) = pair()?;
        let sockets = (0..workers).map(|_| pair()).collect::<Result<Vec<_>>>()?;
        let (ours, theirs): (Vec<_>, Vec<_>) = sockets.into_iter().unzip();
        let zygote_end = Channel::new(zygote_end);
        let theirs: Vec<Channel> = theirs.into_iter().map(Channel::new).collect();
        let mut workload = workload.clone();
        let text = workload.variant.text.take();
        let spec = ZygoteSpec {
            text_follows: text.is_some(),
            workload,
            control: zygote_end.fd(),
            workers: theirs.iter().map(Channel::fd).collect(),
            agent: agent.and_then(|(agent, witness)| {
                Some(AgentSpec {
                    socket: agent.socket()?,
                    library: agent.library().to_owned(),
                    watch: witness == Witness::Sigtrap,
                })
            }),
        };
        let group = spawn_zygote(self_command, &spec, mute)?;
        drop((zygote_end, theirs));
        let sockets = ours.into_iter().map(|socket| Some(Channel::new(socket))).collect();
        let mut family =
            Self { group, control: Channel::new(control), sockets, workers: Vec::new(), deadline };
        if let Some(text) = text {
            // A zygote that has ended meanwhile is noticed by its silence, which tells how.
            let _ended = family.control.send(&text);
        }
        match family.answer("loading the workload")? {
            FromZygote::Loaded(loaded) => Ok((family, loaded)),
            other => Err(unexpected(&other)),
        }
    }

    /// Process id of the zygote.
    pub fn zygote_pid(&self) -> u32 {
        self.group.pid()
    }

    /// Freezes a sibling of the zygote. With `track`, zygote and workers track their writes.
    pub fn freeze(&mut self, track: bool) -> Result<Frozen> {
        match self.command(&ToZygote::Freeze { track }, "freezing a sibling")? {
            FromZygote::Frozen(frozen) => Ok(frozen),
            other => Err(unexpected(&other)),
        }
    }

    /// Forks the next worker and waits until it stands still. Returns its process id.
    pub fn fork(&mut self) -> Result<u32> {
        let worker = self.workers.len();
        let FromZygote::Forked { pid } = self.command(&ToZygote::Fork { worker }, "forking a worker")? else {
            return Err(Error::new("the zygote did not fork").pid(self.zygote_pid()));
        };
        let socket = self.sockets.get_mut(worker).and_then(Option::take);
        let channel = socket.ok_or_else(|| Error::new(format!("there is no socket for worker {worker}")))?;
        self.workers.push(Worker { pid, channel, alive: true });
        let deadline = Instant::now() + self.deadline;
        match self.workers[worker].channel.receive_by(deadline) {
            Ok(FromWorker::Ready { untracked: None }) => Ok(pid),
            Ok(FromWorker::Ready { untracked: Some(why) }) => {
                Err(Error::new("a worker cannot track its writes")
                    .pid(pid)
                    .why(why)
                    .fix("choose another rung"))
            }
            Ok(_) => Err(Error::new("a worker spoke out of turn").pid(pid)),
            Err(Silence::Interrupted) => Err(Error::interrupted()),
            Err(silence) => {
                let fate = self.ending(worker, &silence, "fork");
                Err(Error::new("a worker ended right after the fork").pid(pid).why(tell(&fate)))
            }
        }
    }

    /// Runs one step in all living workers at once and waits for all of them.
    ///
    /// One entry a worker that was alive: (index, outcome). Fails only when interrupted.
    pub fn run_step(&mut self, step: usize, name: &str) -> Result<Vec<(usize, StepOutcome)>> {
        let alive: Vec<usize> = (0..self.workers.len()).filter(|&index| self.workers[index].alive).collect();
        for &index in &alive {
            // A worker that has ended meanwhile is noticed by the silence below.
            let _ended = self.workers[index].channel.send(&ToWorker::Run { step });
        }
        let deadline = Instant::now() + self.deadline;
        alive.into_iter().map(|index| Ok((index, self.outcome(index, deadline, name)?))).collect()
    }

    /// Runs one step in the zygote, while the workers stand still.
    pub fn run_in_zygote(&mut self, step: usize) -> Result<Result<(), StepFailure>> {
        match self.command(&ToZygote::Run { step }, "running a step")? {
            FromZygote::Ran(outcome) => Ok(outcome),
            other => Err(unexpected(&other)),
        }
    }

    fn outcome(&mut self, index: usize, deadline: Instant, step: &str) -> Result<StepOutcome> {
        match self.workers[index].channel.receive_by(deadline) {
            Ok(FromWorker::Done { nanoseconds }) => Ok(StepOutcome::Done { nanoseconds }),
            Ok(FromWorker::Failed(failure)) => Ok(StepOutcome::Failed(failure)),
            Ok(FromWorker::Ready { .. }) => {
                Err(Error::new("a worker spoke out of turn").pid(self.workers[index].pid))
            }
            Err(Silence::Interrupted) => Err(Error::interrupted()),
            Err(silence) => Ok(StepOutcome::Ended(self.ending(index, &silence, step))),
        }
    }

    /// Finds out how a silent worker ended; one that hangs is killed.
    fn ending(&mut self, index: usize, silence: &Silence, step: &str) -> Fate {
        let step = step.to_owned();
        let pid = self.workers[index].pid;
        self.workers[index].alive = false;
        let hung = matches!(silence, Silence::Deadline) || !wait_for_exit(pid, Instant::now() + GRACE);
        if hung {
            kill(pid);
        }
        let ending = match self.command(&ToZygote::Reap { pid }, "reaping a worker") {
            Ok(FromZygote::Reaped(ending)) => ending,
            // The kernel kills the workers of a zygote that ends.
            _ if self.zygote_ended().is_some() => Ending::Killed(libc::SIGKILL),
            _ => Ending::Unknown,
        };
        match ending {
            _ if hung => Fate::Hung { step },
            Ending::Exited(code) => Fate::Exited { code, step },
            Ending::Killed(signal) => Fate::Killed { signal: signal_name(signal), step },
            Ending::Unknown => Fate::Killed { signal: "an unknown signal".into(), step },
        }
    }

    /// How the zygote ended, if it has.
    pub fn zygote_ended(&mut self) -> Option<String> {
        self.group.wait_until(Instant::now()).map(describe_exit)
    }

    /// Ends the family in good order: workers first, then the zygote, then whoever is left.
    pub fn stop(mut self) {
        for worker in self.workers.iter_mut().filter(|worker| worker.alive) {
            let _ended = worker.channel.send(&ToWorker::Exit);
        }
        let _ended = self.control.send(&ToZygote::Exit);
        self.group.wait_until(Instant::now() + GRACE);
        self.group.stop(GRACE);
    }

    fn command(&mut self, command: &ToZygote, doing: &str) -> Result<FromZygote> {
        // A zygote that has ended is noticed by its silence, which tells how.
        let _ended = self.control.send(command);
        self.answer(doing)
    }

    fn answer(&mut self, doing: &str) -> Result<FromZygote> {
        let failed = |why: String| {
            Error::new(format!("the zygote failed while {doing}")).pid(self.group.pid()).why(why)
        };
        match self.control.receive_by(Instant::now() + self.deadline) {
            Ok(FromZygote::Failed(error)) => Err(error),
            Ok(answer) => Ok(answer),
            Err(Silence::Interrupted) => Err(Error::interrupted()),
            Err(Silence::Deadline) => {
                Err(failed(format!("no answer within {} s", self.deadline.as_secs())).fix("raise --timeout"))
            }
            Err(Silence::Garbage(what)) => Err(failed(format!("it wrote to our socket: {what}"))),
            Err(Silence::Closed) => {
                let error = failed(String::new());
                let exit = self.group.wait_until(Instant::now() + GRACE);
                Err(error.why(exit.map_or("it closed our socket".into(), |status| {
                    let closed =
                        if status.code() == Some(LOST) { format!(": {CLOSED}") } else { String::new() };
                    format!("it ended with {}{closed}", describe_exit(status))
                })))
            }
        }
    }
}

/// What a program did that cannot be measured any further.
const CLOSED: &str = "the program closes descriptors that it did not open, our socket among them";

/// A fate in words.
pub fn tell(fate: &Fate) -> String {
    match fate {
        Fate::Finished => "it finished".into(),
        Fate::Exited { code: LOST, step } => {
            format!("it left with exit status {LOST} in step '{step}', as it does when {CLOSED}")
        }
        Fate::Exited { code, step } => format!("it left with exit status {code} in step '{step}'"),
        Fate::Killed { signal, step } => format!("{signal} in step '{step}'"),
        Fate::Failed { message, step } => format!("step '{step}' raised {message}"),
        Fate::Hung { step } => format!("step '{step}' did not end in time; the worker was killed"),
    }
}

fn spawn_zygote(self_command: &[OsString], spec: &ZygoteSpec, mute: bool) -> Result<ProcessGroup> {
    let [program, arguments @ ..] = self_command else {
        return Err(Error::new("cannot re-execute ourselves").why("our own command is not known"));
    };
    let spec_text = serde_json::to_string(spec).doing("cannot describe the workload")?;
    let mut command = Command::new(program);
    command.args(arguments).arg("__zygote").arg(spec_text);
    let output = if mute { Stdio::null() } else { Stdio::from(std::io::stderr()) };
    command.stdin(Stdio::null()).stdout(output);
    spec.workload.variant.set_environment(&mut command);
    if let Some(agent) = &spec.agent {
        preload(&mut command, &agent.library);
    }
    let sockets = spec.agent.as_ref().map(|agent| agent.socket);
    let keep = spec.workers.iter().copied().chain([spec.control]).chain(sockets).collect();
    ProcessGroup::spawn(command, keep)
}

fn unexpected(answer: &FromZygote) -> Error {
    Error::new("the zygote spoke out of turn").why(format!("{answer:?}"))
}
