//! A command under way: who of its processes is the zygote, and what its family reports.

use super::family::Family;
use super::program::{Program, Rank};
use super::{RecordOptions, begin};
use crate::agent::wire::{Answer, Message};
use crate::error::{Context, Result};
use crate::interrupt;
use crate::kernel::agent::{Caller, Heard, Letter, Post};
use crate::kernel::spawn::{ProcessGroup, kill, pidfd_open};
use crate::observe::ProcRoot;
use crate::observe::discover::descendants;
use crate::record::progress::Progress;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often something is looked at that tells nobody when it changes.
const TICK: Duration = Duration::from_millis(20);

/// A recorded command.
pub struct Session<'a> {
    options: &'a RecordOptions,
    progress: &'a Progress,
    post: Post,
    group: ProcessGroup,
    /// Becomes readable when the command ends.
    command: Option<OwnedFd>,
    talks: Vec<Talk>,
    family: Option<Family>,
    families: u8,
    /// Other programs that forked, for the reader.
    pub others: Vec<Program>,
    began: Instant,
}

/// One connection.
struct Talk {
    caller: Rc<Caller>,
    part: Part,
    /// Reports for a witness that is not known yet.
    letters: Vec<Letter>,
}

impl Talk {
    /// Whether the caller waits for our word, or may say more.
    const fn is_open(&self) -> bool {
        matches!(self.part, Part::Unknown | Part::Waiting(_) | Part::Preparing(_))
    }

    const fn sibling(&self) -> Option<u32> {
        if let Part::Sibling { pid, .. } = self.part { Some(pid) } else { None }
    }
}

/// What a caller is to us.
enum Part {
    /// It has not said.
    Unknown,
    /// It is about to fork, and waits until it is known whether it is the zygote.
    Waiting(Program),
    /// It prepares to be the zygote of a family.
    Preparing(Program),
    /// The frozen sibling of a family, which ends when we hang up; at first the zygote speaks here too.
    Sibling {
        /// Number of the family.
        family: u8,
        /// Process id of the sibling.
        pid: u32,
    },
    /// It has nothing more to say.
    Done,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The command and its family have ended; how the command did.
    Ended(ExitStatus),
    /// It was recorded for as long as was asked.
    Time,
    /// The user has seen enough.
    Interrupt,
}

impl<'a> Session<'a> {
    /// Records a command that was just started.
    pub fn new(options: &'a RecordOptions, progress: &'a Progress, post: Post, group: ProcessGroup) -> Self {
        Self {
            command: pidfd_open(group.pid()).unwrap_or(None),
            options,
            progress,
            post,
            group,
            talks: Vec::new(),
            family: None,
            families: 0,
            others: Vec::new(),
            began: Instant::now(),
        }
    }

    /// Listens until the command ends, the time is over, or the user interrupts.
    pub fn run(&mut self) -> Result<End> {
        loop {
            if interrupt::check().is_err() {
                return Ok(End::Interrupt);
            }
            if self.options.duration.is_some_and(|duration| self.began.elapsed() >= duration) {
                return Ok(End::Time);
            }
            self.wait()?;
            for caller in self.post.callers() {
                self.talks.push(Talk { caller: Rc::new(caller), part: Part::Unknown, letters: Vec::new() });
            }
            for index in 0..self.talks.len() {
                self.listen(index)?;
            }
            self.decide_again();
            self.talks.retain(|talk| !matches!(talk.part, Part::Done));
            if let Some(family) = &mut self.family {
                family.tend()?;
            }
            if let Some(status) = self.group.wait_until(Instant::now())
                && self.is_over()
            {
                return Ok(End::Ended(status));
            }
        }
    }

    /// Whether nothing more is to be expected of a command that has ended: its family has ended too, or
    /// there is none and nobody is left who could begin one, as a daemon would.
    fn is_over(&self) -> bool {
        match &self.family {
            Some(family) if !family.is_over() || family.workers_alive() > 0 => false,
            Some(family) if family.has_settled() => true,
            _ => !self.talks.iter().any(Talk::is_open) && !self.someone_lives(),
        }
    }

    fn someone_lives(&self) -> bool {
        let own = std::process::id();
        let siblings: Vec<u32> = self.talks.iter().filter_map(Talk::sibling).collect();
        let family = descendants(&ProcRoot::system(), own).unwrap_or_default();
        let mut others = family.into_iter().filter(|pid| *pid != own && !siblings.contains(pid));
        others.any(|pid| Program::of(pid, 0).is_ok_and(|program| program.still_runs()))
    }

    /// Takes the family out.
    pub fn take_family(&mut self) -> Option<Family> {
        self.family.take()
    }

    /// Ends what is left of the command and of the processes it started.
    pub fn stop(self, grace: Duration) {
        let Self { post, talks, mut group, .. } = self;
        // Members that wait for our word go on when nobody listens any more.
        drop((post, talks));
        group.stop(grace);
        let own = std::process::id();
        for pid in descendants(&ProcRoot::system(), own).unwrap_or_default() {
            if pid != own && Program::of(pid, 0).is_ok_and(|program| program.still_runs()) {
                kill(pid);
            }
        }
    }

    /// Waits until somebody says something, the command ends, or something is due.
    fn wait(&self) -> Result<()> {
        let waiting = self.talks.iter().any(|talk| matches!(talk.part, Part::Waiting(_)));
        let next = self.family.as_ref().and_then(Family::next_look).unwrap_or(interrupt::POLL);
        let timeout = if waiting { TICK } else { next.clamp(Duration::from_millis(1), interrupt::POLL) };
        let mut watched = vec![PollFd::new(self.post.as_fd(), PollFlags::POLLIN)];
        watched.extend(self.talks.iter().map(|talk| PollFd::new(talk.caller.as_fd(), PollFlags::POLLIN)));
        watched.extend(self.command.as_ref().map(|command| PollFd::new(command.as_fd(), PollFlags::POLLIN)));
        match poll(&mut watched, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::ZERO)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno).doing("cannot wait for the recorded processes"),
        }
    }

    fn listen(&mut self, index: usize) -> Result<()> {
        loop {
            let talk = &mut self.talks[index];
            match talk.caller.hear() {
                Ok(Heard::Letter(letter)) => self.understand(index, letter)?,
                Ok(Heard::Nothing) => return Ok(()),
                // What nobody understands is not of our agent.
                Ok(Heard::End) | Err(_) => {
                    talk.part = Part::Done;
                    return Ok(());
                }
            }
        }
    }

    fn understand(&mut self, index: usize, letter: Letter) -> Result<()> {
        let Message { kind, pid, errno, stage } = letter.message;
        let talk = &mut self.talks[index];
        match (kind, &talk.part) {
            (Message::ABOUT_TO_FORK, Part::Unknown) => {
                talk.part = match Program::of(talk.caller.pid(), u8::try_from(stage).unwrap_or(0)) {
                    Ok(program) => Part::Waiting(program),
                    Err(_) => Part::Done,
                };
                self.decide(index);
                Ok(())
            }
            (Message::SIBLING, Part::Preparing(_)) => self.begin_family(index, pid, errno == 1),
            (Message::FORKED, _) => self.forked(index, stage),
            (Message::ENDING, _) => {
                self.ending(index, errno, stage);
                Ok(())
            }
            (Message::KILLING, _) => {
                match &mut self.family {
                    Some(family) => family.hold_killer(Rc::clone(&talk.caller), stage.cast_signed(), errno),
                    None => talk.caller.answer(Answer::GO, 0),
                }
                Ok(())
            }
            (_, &Part::Sibling { family: number, .. }) => match &mut self.family {
                Some(family) if family.number == number => family.deliver(letter),
                _ => Ok(()),
            },
            _ => {
                talk.letters.push(letter);
                Ok(())
            }
        }
    }

    fn decide_again(&mut self) {
        for index in 0..self.talks.len() {
            self.decide(index);
        }
    }

    /// Decides whether a process that is about to fork is the zygote, as soon as that can be told.
    fn decide(&mut self, index: usize) {
        let Part::Waiting(program) = &self.talks[index].part else { return };
        let Some(chosen) = self.choose(program) else { return };
        let program = program.clone();
        let talk = &mut self.talks[index];
        if chosen {
            self.progress.now(format!("reading {} (process {})", program.short(), program.pid));
            talk.part = Part::Preparing(program);
            talk.caller.answer(Answer::FREEZE, 0);
        } else {
            talk.part = Part::Unknown;
            talk.caller.answer(Answer::GO, 0);
            self.others.push(program);
        }
    }

    /// Whether a process is to be the zygote; `None` while that cannot be told.
    fn choose(&self, program: &Program) -> Option<bool> {
        if let Some(pattern) = &self.options.zygote
            && !program.line.contains(pattern.as_str())
        {
            return Some(false);
        }
        // A shell forks to start programs; who wants to see one names it.
        if program.rank() == Rank::Shell && self.options.zygote.is_none() {
            return Some(false);
        }
        if self.talks.iter().any(|talk| matches!(talk.part, Part::Preparing(_))) {
            return None;
        }
        let Some(family) = &self.family else { return Some(true) };
        if program.pid == family.zygote.pid {
            return Some(true);
        }
        // A child of the zygote that forks is a worker, unless the zygote only makes it a daemon.
        if family.zygote.is_image_of(program.pid) {
            return match (family.is_over(), family.has_settled()) {
                (true, _) => Some(family.has_only(program.pid)),
                (false, true) => Some(false),
                (false, false) => None,
            };
        }
        let (rank, its_rank) = (program.rank(), family.zygote.rank());
        Some(rank >= its_rank && !family.has_settled() || rank > its_rank && its_rank == Rank::Shell)
    }

    fn begin_family(&mut self, index: usize, reference: u32, frames: bool) -> Result<()> {
        let Part::Preparing(program) = std::mem::replace(&mut self.talks[index].part, Part::Done) else {
            return Ok(());
        };
        self.families = self.families.wrapping_add(1).max(1);
        let number = self.families;
        let letters = std::mem::take(&mut self.talks[index].letters);
        let begun = begin(self.options, &program, reference, frames, letters);
        let caller = &self.talks[index].caller;
        let (measurement, watched) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                caller.answer(Answer::GO, 0);
                return Err(error);
            }
        };
        self.progress.now(format!("recording {} (process {})", program.short(), program.pid));
        self.family = Some(Family::new(number, program, measurement, self.options.interval));
        caller.answer(if watched { Answer::WATCH } else { Answer::GO }, number);
        for talk in self.talks.iter_mut().filter(|talk| matches!(talk.part, Part::Sibling { .. })) {
            talk.part = Part::Done;
        }
        self.talks[index].part = Part::Sibling { family: number, pid: reference };
        Ok(())
    }

    fn forked(&mut self, index: usize, number: u32) -> Result<()> {
        let talk = &mut self.talks[index];
        let letters = std::mem::take(&mut talk.letters);
        match &mut self.family {
            Some(family) if u32::from(family.number) == number => {
                let caller = Rc::clone(&talk.caller);
                letters.into_iter().try_for_each(|letter| family.deliver(letter))?;
                family.add_worker(caller)
            }
            _ => {
                talk.caller.answer(Answer::GO, 0);
                Ok(())
            }
        }
    }

    fn ending(&mut self, index: usize, code: i32, number: u32) {
        match &mut self.family {
            Some(family) if u32::from(family.number) == number => {
                family.hold(Rc::clone(&self.talks[index].caller), code);
            }
            _ => self.talks[index].caller.answer(Answer::GO, 0),
        }
    }
}
