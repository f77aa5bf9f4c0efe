//! The family of one zygote, as its members report it.

use super::program::Program;
use super::schedule::{Schedule, TOGETHER};
use super::worker::{Change, Worker};
use crate::agent::wire::Answer;
use crate::error::{Error, Result};
use crate::family::recording::{Fate, Finding};
use crate::kernel::agent::{Caller, Letter};
use crate::kernel::spawn::signal_name;
use crate::kernel::stop::StandStill;
use crate::record::{Measurement, Recording};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Workers beyond so many are let go without being measured.
const MOST_WORKERS: usize = 64;
/// A child that has run its parent's program for so long is a worker.
const SETTLED: Duration = Duration::from_millis(250);
/// Whoever kills more workers within this time of a look goes on.
const RECENT: Duration = Duration::from_millis(200);
const SNAPSHOT_TRIES: usize = 3;

/// A zygote and its workers, under measurement.
#[derive(Debug)]
pub struct Family {
    /// Its number among the families of this recording.
    pub number: u8,
    /// The process that forks.
    pub zygote: Program,
    measurement: Measurement,
    workers: Vec<Worker>,
    /// Workers just forked that wait for the first look, and when the last of them came.
    newborn: Vec<Held>,
    last_birth: Instant,
    held: Vec<Held>,
    held_since: Option<Instant>,
    last_before_kill: Option<Instant>,
    schedule: Option<Schedule>,
    interval: Duration,
    step: String,
    left_out: usize,
    has_worked: bool,
}

/// A member that waits for our word, and goes on when this is dropped.
#[derive(Debug)]
struct Held {
    caller: Rc<Caller>,
    before: Before,
}

/// What a member waits before.
#[derive(Debug)]
enum Before {
    /// Its first instruction of its own.
    Life,
    /// Its end, with this exit status.
    End(i32),
    /// Sending this signal to another one.
    Kill(i32),
}

impl Family {
    /// A family without workers yet.
    pub fn new(number: u8, zygote: Program, measurement: Measurement, interval: Duration) -> Self {
        Self {
            number,
            zygote,
            measurement,
            workers: Vec::new(),
            newborn: Vec::new(),
            last_birth: Instant::now(),
            held: Vec::new(),
            held_since: None,
            last_before_kill: None,
            schedule: None,
            interval,
            step: "fork".into(),
            left_out: 0,
            has_worked: false,
        }
    }

    /// Whether the zygote has ended, or executes another program.
    pub fn is_over(&self) -> bool {
        !self.zygote.still_runs()
    }

    /// Whether it is known to have workers: children that stay, and go on in their parent's program.
    pub fn has_settled(&self) -> bool {
        self.has_worked || self.alive().any(|worker| worker.forked.elapsed() >= SETTLED && self.stays(worker))
    }

    /// Whether its only living worker is this process.
    pub fn has_only(&self, pid: u32) -> bool {
        self.alive().filter(|worker| self.stays(worker)).all(|worker| worker.pid == pid)
    }

    /// Workers that live.
    pub fn workers_alive(&self) -> usize {
        self.alive().count()
    }

    /// When it is to be looked at again, at the latest.
    pub fn next_look(&self) -> Option<Duration> {
        let born = (!self.newborn.is_empty()).then_some(self.last_birth);
        let since = born.into_iter().chain(self.held_since).min();
        let together = since.map(|since| TOGETHER.saturating_sub(since.elapsed()));
        let age = self.schedule.as_ref().and_then(Schedule::until_due);
        together.into_iter().chain(age).min()
    }

    /// Hands over what a member reported to the witness.
    pub fn deliver(&mut self, letter: Letter) -> Result<()> {
        match self.measurement.trace().as_agent() {
            Some(agent) => agent.deliver(letter),
            None => return Ok(()),
        }
        self.measurement.trace().listen()
    }

    /// Takes in a child that was just forked and stands still. Those that are forked one after the other
    /// at the beginning wait for each other, so that the first look sees all of them.
    pub fn add_worker(&mut self, caller: Rc<Caller>) -> Result<()> {
        if self.workers.len() >= MOST_WORKERS {
            self.left_out += 1;
            return Ok(());
        }
        let pid = caller.pid();
        let worker = Held { caller, before: Before::Life };
        let still = StandStill::of(&[self.zygote.pid]);
        let added = self.measurement.add_still_worker(pid);
        drop(still);
        if added.is_err() && !(self.zygote.still_runs() && self.zygote.is_image_of(pid)) {
            return Ok(());
        }
        added?;
        self.workers.push(Worker::new(pid));
        if self.schedule.is_none() {
            self.newborn.push(worker);
            self.last_birth = Instant::now();
        }
        Ok(())
    }

    /// Keeps a member that is about to end, until it was looked at for the last time.
    pub fn hold(&mut self, caller: Rc<Caller>, code: i32) {
        let pid = caller.pid();
        let held = Held { caller, before: Before::End(code) };
        if pid == self.zygote.pid || self.alive().any(|worker| worker.pid == pid) {
            self.has_worked |= pid != self.zygote.pid;
            self.wait_together(held);
        }
    }

    /// Keeps a process that is about to end a worker, or a whole group, by a signal, until everybody was
    /// looked at; unless that has just been done.
    pub fn hold_killer(&mut self, caller: Rc<Caller>, target: i32, signal: i32) {
        let held = Held { caller, before: Before::Kill(signal) };
        let concerns = |worker: &Worker| target <= 0 || worker.pid.cast_signed() == target;
        if self.last_before_kill.is_none_or(|look| look.elapsed() >= RECENT) && self.alive().any(concerns) {
            self.wait_together(held);
        }
    }

    fn wait_together(&mut self, held: Held) {
        self.held.push(held);
        self.held_since.get_or_insert_with(Instant::now);
    }

    /// Does what is due: buries the dead, looks at the living.
    pub fn tend(&mut self) -> Result<()> {
        self.bury();
        if !self.newborn.is_empty() && self.last_birth.elapsed() >= TOGETHER {
            let newborn = std::mem::take(&mut self.newborn);
            self.schedule = Some(Schedule::new(self.interval));
            self.look("fork", &newborn)?;
            drop(newborn);
        }
        let waits_long = self.held_since.is_some_and(|since| since.elapsed() >= TOGETHER);
        let nobody_else = self.alive().all(|worker| self.is_held(worker.pid));
        if waits_long || (self.held_since.is_some() && nobody_else) {
            self.see_off()?;
        }
        if let Some(age) = self.schedule.as_mut().and_then(Schedule::due) {
            self.look(&age, &[])?;
        }
        Ok(())
    }

    /// Whether it had a worker: a child that did not execute another program.
    pub fn had_workers(&self) -> bool {
        self.workers.iter().any(|worker| !worker.executed && (worker.fate.is_some() || self.stays(worker)))
    }

    /// Looks at the family once more, and explains what was found.
    pub fn finish(mut self, complete: bool) -> (Recording, Option<Error>) {
        let seen = if self.held.is_empty() { self.look("end", &[]) } else { self.see_off() };
        self.bury();
        let killed: Vec<String> = self.workers.iter().filter_map(Worker::killed).collect();
        if !killed.is_empty() {
            self.measurement.add_finding(Finding {
                code: "FP900".into(),
                title: if killed.len() == 1 {
                    "A worker was killed".into()
                } else {
                    format!("{} workers were killed", killed.len())
                },
                evidence: killed.join("; "),
                fix: "run the same program alone: what kills its workers is not the measurement, or tell us"
                    .into(),
            });
        }
        if self.left_out > 0 {
            self.measurement.add_note(format!(
                "{} workers after the first {MOST_WORKERS} were not measured",
                self.left_out
            ));
        }
        let missed = self.schedule.as_ref().map_or(0, Schedule::ends_missed);
        if missed > 0 {
            self.measurement.add_note(format!("{missed} times workers ended without a last look at them: their pages are those of the step before"));
        }
        (self.measurement.finish(complete && seen.is_ok()), seen.err())
    }

    /// Notes why the recording ends early.
    pub fn cut_short(&mut self, error: &Error) {
        self.measurement.add_finding(super::cut_short(error));
    }

    /// Adds a remark for the reader.
    pub fn note(&mut self, note: impl Into<String>) {
        self.measurement.add_note(note);
    }

    /// Looks at members that are about to end, and lets them.
    fn see_off(&mut self) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        self.held_since = None;
        let ending: Vec<(usize, i32)> = held.iter().filter_map(|held| self.ends(held)).collect();
        let signal = held.iter().find_map(|held| match held.before {
            Before::Kill(signal) => Some(signal_name(signal)),
            _ => None,
        });
        let name = match (&ending[..], signal) {
            (_, Some(signal)) => format!("before {signal}"),
            (all, _) if all.len() == self.workers_alive() => "end".to_owned(),
            ([], _) => "end of the zygote".to_owned(),
            (&[(worker, _)], _) => format!("end of worker {worker}"),
            (some, _) => format!("end of {} workers", some.len()),
        };
        let may_look = self.schedule.as_mut().is_some_and(Schedule::may_look_at_end);
        let looked = if may_look { self.look(&name, &held) } else { Ok(()) };
        if name.starts_with("before ") {
            self.last_before_kill = Some(Instant::now());
        }
        for (index, code) in ending {
            // Only the low byte of a status reaches the parent.
            self.end(index, Fate::Exited { code: code & 0xff, step: self.step.clone() });
        }
        looked
    }

    /// Which worker is about to end with which status, if one is.
    fn ends(&self, held: &Held) -> Option<(usize, i32)> {
        let Before::End(code) = held.before else { return None };
        let index = self.workers.iter().rposition(|worker| worker.pid == held.caller.pid())?;
        Some((index, code))
    }

    /// Takes a snapshot while everybody stands still, if there is a worker to look at. A member that ends
    /// meanwhile is left out; those that wait for us are not stopped: their parents would hear of it.
    fn look(&mut self, step: &str, waiting: &[Held]) -> Result<()> {
        step.clone_into(&mut self.step);
        let mut tries = 0;
        loop {
            tries += 1;
            self.bury();
            if self.workers_alive() == 0 || self.is_over() {
                return Ok(());
            }
            let still = StandStill::of(&self.running(waiting));
            let taken = self.measurement.snapshot(step, None);
            drop(still);
            let Err(error) = taken else { return Ok(()) };
            if tries == SNAPSHOT_TRIES {
                return Err(error);
            }
        }
    }

    /// Notes the fate of workers that have ended, and of those that have executed another program.
    fn bury(&mut self) {
        for index in 0..self.workers.len() {
            let worker = &mut self.workers[index];
            if worker.fate.is_some() {
                continue;
            }
            match worker.change(&self.zygote, &self.step) {
                None => {}
                Some(Change::Ended(fate)) => self.end(index, fate),
                Some(Change::Executed(name)) => {
                    worker.executed = true;
                    self.end(index, Fate::Exited { code: 0, step: self.step.clone() });
                    self.note(format!(
                        "worker {index} executed another program, '{name}', and was not measured any more"
                    ));
                }
            }
        }
    }

    fn end(&mut self, index: usize, fate: Fate) {
        self.measurement.worker_ended(u32::try_from(index).unwrap_or(u32::MAX), fate.clone());
        self.workers[index].fate = Some(fate);
    }

    fn alive(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter().filter(|worker| worker.fate.is_none())
    }

    fn stays(&self, worker: &Worker) -> bool {
        self.zygote.is_image_of(worker.pid)
    }

    /// Members that would go on by themselves.
    fn running(&self, waiting: &[Held]) -> Vec<u32> {
        let members = std::iter::once(self.zygote.pid).chain(self.alive().map(|worker| worker.pid));
        members.filter(|&pid| !waiting.iter().any(|held| held.caller.pid() == pid)).collect()
    }

    fn is_held(&self, pid: u32) -> bool {
        self.held.iter().any(|held| held.caller.pid() == pid)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.caller.answer(Answer::GO, 0);
    }
}
