//! The processes that break pages: this program again, or a Python, with something watching it.
//!
//! A target fills its memory once. For every line it reads it forks a worker, which writes one byte
//! into each of [`PAGES`] inherited pages, then goes over the same pages again and again, and tells
//! its own times of both.

use crate::bounds::Cost;
use forkprint::kernel::agent::{Agent, Inside, Report, preload};
use forkprint::kernel::perf::RingWitness;
use forkprint::kernel::spawn::ProcessGroup;
use forkprint::kernel::uffd::WriteTracker;
use forkprint::units::{PAGE_SIZE, Vpn};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{ForkResult, fork};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::RawFd;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// First argument of the target that is this program.
pub const TARGET: &str = "be-target";
/// Pages that every worker breaks.
pub const PAGES: usize = 50_000;
/// How often a worker goes over its pages when they are broken, so many at a time: caches hold these,
/// and where in memory the copies came to lie hardly matters.
const AGAIN: usize = 1000;
const TOGETHER: usize = 64;
/// Number of the socket where there is none.
const NO_SOCKET: RawFd = -1;

/// What watches a worker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// Nothing.
    Untraced,
    /// The worker tracks its own writes by userfaultfd; only the native target can.
    C,
    /// A ring, attached to the target before the fork and gone afterwards.
    B,
    /// The agent, in a target that was started with it.
    A,
}

/// The times of one worker.
#[derive(Clone, Copy)]
pub struct Told {
    /// Breaking its pages.
    pub first: Cost,
    /// Writing to pages that are broken.
    pub again: Cost,
}

/// A target, waiting for commands. It ends when dropped.
pub struct Target {
    agent: Option<Agent>,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    group: ProcessGroup,
}

impl Target {
    /// This program.
    pub fn native(agent: Option<Agent>) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("our own path"));
        command.arg(TARGET);
        Self::start(command, agent)
    }

    /// An interpreter that runs a script, which is told `arguments`, the agent's library and its socket.
    pub fn python(python: &Path, script: &str, arguments: &[&str], agent: Option<Agent>) -> Self {
        let mut command = Command::new(python);
        let library = agent.as_ref().map(|agent| agent.library().to_owned()).unwrap_or_default();
        command.args(["-c", script]).args(arguments).arg(library);
        Self::start(command, agent)
    }

    fn start(mut command: Command, mut agent: Option<Agent>) -> Self {
        let socket = agent.as_ref().and_then(Agent::socket);
        command.arg(socket.unwrap_or(NO_SOCKET).to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(agent) = &agent {
            preload(&mut command, agent.library());
        }
        let mut group = ProcessGroup::spawn(command, socket.into_iter().collect()).expect("a target");
        agent.iter_mut().for_each(Agent::started);
        let commands = group.child().stdin.take().expect("a pipe");
        let answers = BufReader::new(group.child().stdout.take().expect("a pipe"));
        let mut target = Self { agent, commands, answers, group };
        assert_eq!(target.line(), "ready");
        target
    }

    /// Has a worker break its pages. What watches it must have seen every break, and lost none.
    pub fn worker(&mut self, rung: Rung) -> Told {
        let ring = (rung == Rung::B).then(|| RingWitness::attach(self.group.pid()).expect("a ring"));
        let told = self.ask(if rung == Rung::C { "tracked" } else { "plain" });
        if let Some(ring) = ring {
            check(ring.take().len(), (ring.counted().expect("a counter"), ring.delivered()));
        }
        self.check_agent();
        let cost = |at: usize| Cost { wall: told[at], cpu: told[at + 1] };
        Told { first: cost(0), again: cost(2) }
    }

    fn check_agent(&mut self) {
        for report in self.reports() {
            let Report::Armed(mut watched) = report else { panic!("not watched: {report:?}") };
            // The first to report is the target itself.
            if watched.pid() != self.group.pid() {
                let events = watched.harvest();
                let traps = events.iter().filter(|event| event.registers.is_some()).count();
                check(traps, watched.counted_and_delivered().expect("a counter"));
            }
        }
    }

    /// Sends a line, and waits for the figures of the answer and the end of who told them.
    pub fn ask(&mut self, command: &str) -> Vec<f64> {
        writeln!(self.commands, "{command}").expect("it listens");
        let figures = self.line().split(' ').map(|word| word.parse().expect("a figure")).collect();
        assert_eq!(self.line(), "ended");
        figures
    }

    /// What its agent has reported.
    pub fn reports(&mut self) -> Vec<Report> {
        self.agent.iter_mut().flat_map(|agent| agent.reports().expect("reports")).collect()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the target answers");
        line.trim().to_owned()
    }
}

fn check(seen: usize, (counted, delivered): (u64, u64)) {
    assert!(seen >= PAGES, "{seen} breaks were seen");
    assert_eq!(counted, delivered, "faults were lost");
}

/// The target that is this program.
#[allow(unsafe_code, reason = "a fork, in a process of one thread")]
pub fn be_target() {
    let mut memory = vec![1_u8; (PAGES + 1) * PAGE_SIZE as usize];
    let first = memory.as_ptr().align_offset(PAGE_SIZE as usize);
    let pages = &mut memory[first..first + PAGES * PAGE_SIZE as usize];
    if let Some(inside) = Inside::find() {
        let socket = std::env::args().nth(2).expect("a socket");
        inside.configure(socket.parse().expect("a number"));
        assert!(inside.watch(), "the agent is refused");
    }
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line.expect("the pipe of the bench");
        std::io::stdout().flush().expect("written");
        // SAFETY: this process has one thread.
        match unsafe { fork() }.expect("a worker") {
            ForkResult::Child => be_worker(pages, line == "tracked"),
            ForkResult::Parent { child } => {
                nix::sys::wait::waitpid(child, None).expect("a worker");
                println!("ended");
            }
        }
    }
}

fn be_worker(pages: &mut [u8], tracked: bool) -> ! {
    let first = Vpn::of_address(pages.as_ptr() as u64);
    let all = first..Vpn(first.0 + PAGES as u64);
    let tracker = tracked.then(|| WriteTracker::arm(&[all], |_| panic!("refused")).expect("tracked"));
    let breaking = measured(|| write_to_each(pages, 2));
    let again = measured(|| {
        for some in pages.chunks_mut(TOGETHER * PAGE_SIZE as usize) {
            (0..AGAIN).for_each(|round| write_to_each(some, round as u8));
        }
    });
    drop(tracker);
    let mut line = String::new();
    for time in [breaking, again].into_iter().flatten() {
        write!(line, "{} ", time.as_secs_f64()).expect("written");
    }
    println!("{}", line.trim());
    std::process::exit(0)
}

fn write_to_each(pages: &mut [u8], value: u8) {
    for (index, page) in pages.chunks_exact_mut(PAGE_SIZE as usize).enumerate() {
        page[index % TOGETHER * 64] = std::hint::black_box(value);
    }
}

/// Time that passed, and processor time of this process.
fn measured(work: impl FnOnce()) -> [Duration; 2] {
    let busy = || Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock"));
    let (start, before) = (Instant::now(), busy());
    work();
    [start.elapsed(), busy() - before]
}
