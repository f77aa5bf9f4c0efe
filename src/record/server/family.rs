//! The family of one master, from the first fork on: its workers, and what became of them.

use super::watch;
use crate::error::Result;
use crate::family::Witness;
use crate::family::recording::{About, Fate, Finding};
use crate::kernel::stop::StandStill;
use crate::record::ending::fate;
use crate::record::run::threads;
use crate::record::watch::Watch;
use crate::record::{Baseline, Course, MeasureOptions, Measurement, Recording};
use crate::servers::gunicorn::{AtFork, Event, Invocation, Master, Settings, Watcher};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long replaced workers may take to be ready, and a dying one to be reaped, before a snapshot.
const SETTLE: Duration = Duration::from_secs(30);
const REAP: Duration = Duration::from_secs(2);
const SNAPSHOT_TRIES: usize = 3;

/// Workers, as forkprint's runner reports them, under measurement.
pub struct Family {
    master: Master,
    measurement: Measurement,
    workers: Vec<Worker>,
    /// Pids that said they were ready; a worker may say so before the master says it forked it.
    ready: BTreeSet<u32>,
    at_fork: AtFork,
    /// The sibling frozen at the fork.
    reference: u32,
    wanted: usize,
    /// Whether workers are replaced after some requests.
    aging: bool,
    /// Name of the step under way.
    step: String,
    startup: Duration,
}

struct Worker {
    pid: u32,
    fate: Option<Fate>,
}

impl Family {
    /// Starts gunicorn, reads the master at its first fork, and waits until every worker serves.
    pub fn boot(
        invocation: &Invocation,
        settings: &Settings,
        about: About,
        options: &MeasureOptions,
        patience: Duration,
    ) -> Result<Self> {
        let deadline = Instant::now() + patience;
        let watch = Watch::prepare(options)?;
        let began = Instant::now();
        let mut master = Master::start(invocation, watch.agent().map(|(agent, _)| agent))?;
        let (reference, watcher, at_fork) = wait_for_first_fork(&mut master, deadline)?;
        let startup = began.elapsed();
        let baseline = Baseline {
            zygote_pid: master.pid(),
            reference_pid: Some(reference),
            python: Some((settings.python.0, settings.python.1)),
            ..Baseline::default()
        };
        let trace = watch::begin(watch, master.pid(), watcher, settings)?;
        let watched_from_inside = trace.witness() == Witness::Sigtrap;
        let measurement = Measurement::begin(about, baseline, options, trace)?;
        master.go(watched_from_inside)?;
        let mut family = Self {
            master,
            measurement,
            workers: Vec::new(),
            ready: BTreeSet::new(),
            at_fork,
            reference,
            wanted: settings.workers as usize,
            aging: settings.max_requests > 0,
            step: "fork".into(),
            startup,
        };
        family.wait_until_ready(deadline)?;
        Ok(family)
    }

    /// What the master showed at the first fork.
    pub fn at_fork(&self) -> &AtFork {
        &self.at_fork
    }

    /// How it went, after so many requests that took so long.
    pub fn course(&self, requests: u64, driven: Duration) -> Course {
        #[expect(clippy::cast_precision_loss, reason = "requests a second, for people")]
        let rate = requests as f64 / driven.as_secs_f64();
        Course {
            startup_seconds: self.startup.as_secs_f64(),
            throughput: (requests > 0).then_some(rate),
            zygote_threads: self.at_fork.threads,
            at_fork: Some(self.at_fork),
        }
    }

    /// Where the family serves.
    pub fn address(&self) -> std::net::SocketAddr {
        self.master.address()
    }

    /// Names the step under way: fates say in which one they happened.
    pub fn enter_step(&mut self, name: &str) {
        name.clone_into(&mut self.step);
    }

    /// Takes in what happened; fails when the master has left, or the user wants to stop.
    pub fn watch(&mut self) -> Result<()> {
        crate::interrupt::check()?;
        for event in self.master.pending()? {
            self.take(event);
        }
        self.measurement.trace().listen()?;
        self.master.check_alive()
    }

    /// Waits, but not for long, until as many workers have ended in this step as requests may have
    /// cost the life of one: the answer to such a request comes before the worker is gone.
    pub fn await_endings(&mut self, expected: u64) -> Result<()> {
        let ended = |family: &Self| {
            let step = |fate: &Fate| match fate {
                Fate::Exited { step, .. } | Fate::Killed { step, .. } => *step == family.step,
                _ => false,
            };
            family.workers.iter().filter(|worker| worker.fate.as_ref().is_some_and(step)).count() as u64
        };
        let deadline = Instant::now() + REAP;
        while ended(self) < expected && Instant::now() < deadline {
            if let Some(event) = self.master.poll()? {
                self.take(event);
            }
        }
        Ok(())
    }

    /// Takes a snapshot once every worker is ready, while all of them and the master stand still. A
    /// worker that dies meanwhile is left out.
    pub fn snapshot(&mut self, requests: u64) -> Result<()> {
        self.settle()?;
        let mut tries = 0;
        loop {
            tries += 1;
            let still = StandStill::of(&self.alive());
            let taken = self.measurement.snapshot(&self.step, Some(requests));
            drop(still);
            let Err(error) = taken else { return Ok(()) };
            if tries == SNAPSHOT_TRIES || !self.someone_died()? {
                return Err(error);
            }
        }
    }

    /// The master and the workers that have not ended.
    fn alive(&self) -> Vec<u32> {
        let workers = self.workers.iter().filter(|worker| worker.fate.is_none()).map(|worker| worker.pid);
        std::iter::once(self.master.pid()).chain(workers).collect()
    }

    /// Adds findings to the recording.
    pub fn add_findings(&mut self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.measurement.add_finding(finding));
    }

    /// Stops the family and returns what was measured.
    pub fn stop(mut self, complete: bool) -> Recording {
        if let Some(finding) = deaths(&self.workers, self.aging) {
            self.measurement.add_finding(finding);
        }
        let replaced = if self.aging { self.left_by_themselves() } else { 0 };
        if replaced > 0 {
            self.measurement.add_note(format!("{replaced} workers left by themselves and were replaced; steps after that count their successors"));
        }
        let alive = self.workers.iter().filter(|worker| worker.fate.is_none()).map(|worker| worker.pid);
        let children: Vec<u32> = alive.chain([self.reference]).collect();
        let recording = self.measurement.finish(complete);
        self.master.stop(&children);
        recording
    }

    fn left_by_themselves(&self) -> usize {
        self.workers.iter().filter(|worker| matches!(worker.fate, Some(Fate::Exited { code: 0, .. }))).count()
    }

    fn wait_until_ready(&mut self, deadline: Instant) -> Result<()> {
        while !self.all_ready() {
            if Instant::now() > deadline {
                return Err(self.master.failure("gunicorn's workers did not become ready in time"));
            }
            if self.workers.len() > 3 * self.wanted.max(1) {
                return Err(self.master.failure("gunicorn's workers end before they serve"));
            }
            if let Some(event) = self.master.poll()? {
                self.take(event);
            }
        }
        Ok(())
    }

    fn all_ready(&self) -> bool {
        let mut alive = self.workers.iter().filter(|worker| worker.fate.is_none());
        alive.clone().count() >= self.wanted && alive.all(|worker| self.ready.contains(&worker.pid))
    }

    /// Waits for the successors of workers that have left.
    fn settle(&mut self) -> Result<()> {
        self.watch()?;
        let deadline = Instant::now() + SETTLE;
        while !self.all_ready() && Instant::now() < deadline {
            if let Some(event) = self.master.poll()? {
                self.take(event);
            }
        }
        Ok(())
    }

    fn someone_died(&mut self) -> Result<bool> {
        let alive = self.measurement.workers_alive();
        let deadline = Instant::now() + REAP;
        while self.measurement.workers_alive() == alive && Instant::now() < deadline {
            if let Some(event) = self.master.poll()? {
                self.take(event);
            }
        }
        Ok(self.measurement.workers_alive() < alive)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Forked(pid) => {
                self.workers.push(Worker { pid, fate: None });
                self.measurement.add_worker(pid);
            }
            Event::Ready(pid) => {
                self.ready.insert(pid);
            }
            Event::Ended { pid, status } => self.bury(pid, status),
            Event::AboutToFork { .. } => {}
        }
    }

    fn bury(&mut self, pid: u32, status: i32) {
        let Some(index) = self.workers.iter().rposition(|worker| worker.pid == pid && worker.fate.is_none())
        else {
            return;
        };
        let fate = fate(status, &self.step);
        self.ready.remove(&pid);
        self.measurement.worker_ended(u32::try_from(index).unwrap_or(u32::MAX), fate.clone());
        self.workers[index].fate = Some(fate);
    }
}

fn wait_for_first_fork(master: &mut Master, deadline: Instant) -> Result<(u32, Watcher, AtFork)> {
    loop {
        if let Some(Event::AboutToFork { reference, frozen, gc_enabled, watcher }) = master.poll()? {
            return Ok((reference, watcher, AtFork { frozen, gc_enabled, threads: threads(master.pid())? }));
        }
        if Instant::now() > deadline {
            return Err(master.failure("gunicorn did not fork a worker in time"));
        }
    }
}

/// One finding for all workers that ended when they should not have. Status 0 is right for one that
/// reached its age; a sync worker that gunicorn's timeout strikes leaves with it too.
fn deaths(workers: &[Worker], aging: bool) -> Option<Finding> {
    let told: Vec<String> = workers
        .iter()
        .filter_map(|worker| match worker.fate.as_ref()? {
            Fate::Exited { code, step } if *code != 0 => {
                Some(format!("worker {} left with status {code} before '{step}'", worker.pid))
            }
            Fate::Killed { signal, step } => {
                Some(format!("worker {} was killed by {signal} before '{step}'", worker.pid))
            }
            Fate::Exited { step, .. } if !aging => {
                Some(format!("worker {} left with status 0 before '{step}', as after a timeout", worker.pid))
            }
            _ => None,
        })
        .collect();
    (!told.is_empty()).then(|| Finding {
        code: "FP900".into(),
        title: if told.len() == 1 { "A worker died".into() } else { format!("{} workers died", told.len()) },
        evidence: told.join("; "),
        fix: "send the same requests to gunicorn alone and read its error log; a timeout is raised by: timeout = 120".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_workers_that_ended_too_early_are_found() {
        let worker = |fate| Worker { pid: 7, fate };
        let left = Fate::Exited { code: 0, step: "fork".into() };
        assert!(deaths(&[worker(None), worker(Some(left.clone()))], true).is_none());
        assert!(deaths(&[worker(Some(left))], false).unwrap().evidence.contains("as after a timeout"));
        let killed = Fate::Killed { signal: "SIGSEGV".into(), step: "10 requests".into() };
        let finding = deaths(&[worker(Some(killed))], true).unwrap();
        assert_eq!(finding.evidence, "worker 7 was killed by SIGSEGV before '10 requests'");
    }
}
