//! Snapshots of a family, turned step by step into a [`Recording`].

use super::compare::Comparison;
use super::evidence::{EvidenceSource, Moment};
use super::explain::{ForkScene, explain};
use super::options::{Baseline, MeasureOptions};
use super::pages::{ChangedBytes, PageLog};
use super::regions;
use super::trace::Trace;
use crate::agent;
use crate::error::{Error, Result};
use crate::family::ledger::left_to_the_sibling;
use crate::family::recording::{
    About, CrossCheck, Fate, Finding, Recording, Step, WorkerInfo, WorkerStep, ZygoteSummary, step_number,
};
use crate::family::{Diff, FrameOwners, Inherited, Ledger, PageState, Process, diff};
use crate::kernel::Caps;
use crate::observe::parallel::in_parallel;
use crate::observe::rollup::{Rollup, read_rollup};
use crate::observe::{ProcRoot, read_process, read_processes};
use crate::units::{PAGE_SIZE, Vpn};
use std::collections::BTreeMap;
use std::time::Instant;

/// A measurement under way.
#[derive(Debug)]
pub struct Measurement {
    root: ProcRoot,
    recording: Recording,
    inherited: Inherited,
    evidence: EvidenceSource,
    zygote: u32,
    reference: Option<u32>,
    members: Vec<Member>,
    log: PageLog,
    forked: Instant,
    trace: Trace,
    scene: ForkScene,
    /// Nanoseconds of the step that ended last, by index of the worker.
    times: BTreeMap<usize, u64>,
}

/// A worker of the family and whether it still lives.
#[derive(Debug)]
struct Member {
    pid: u32,
    alive: bool,
}

impl Measurement {
    /// Reads the zygote at the fork. Call it while the zygote stands still and has no worker yet.
    ///
    /// `trace` witnesses single writes from now on.
    pub fn begin(about: About, baseline: Baseline, options: &MeasureOptions, trace: Trace) -> Result<Self> {
        let root = ProcRoot::system();
        let rung = options.choose_rung(Caps::get())?;
        let process = read_process(&root, baseline.zygote_pid)?;
        let regions = regions::name_regions(&process, baseline.regions.clone(), baseline.python);
        let mut instrument = baseline.instrument;
        instrument.extend(areas_of_the_agent(&process));
        instrument.sort_by_key(|range| range.start);
        let is_instrument = |page: Vpn| instrument.iter().any(|range| range.contains(&page));
        let inherited = Inherited::new(&process, &regions, is_instrument);
        let evidence =
            EvidenceSource::new(rung, &root, &inherited, baseline.reference_pid, baseline.tracked)?;
        let mut recording = Recording {
            about: About { rung, witness: trace.witness(), page_size: PAGE_SIZE, ..about },
            zygote: ZygoteSummary {
                pid: process.pid,
                private_pages: inherited.len() as u64,
                rss_bytes: process.rss_bytes,
                runtime_regions: regions::inherited_pages(&inherited, &baseline.regions),
            },
            ..Recording::default()
        };
        recording.about.notes.extend(options.weaker_than_best(rung).into_iter().chain(evidence.notes()));
        Ok(Self {
            root,
            log: PageLog::new(&inherited),
            times: BTreeMap::new(),
            recording,
            inherited,
            evidence,
            zygote: baseline.zygote_pid,
            reference: baseline.reference_pid,
            members: Vec::new(),
            forked: Instant::now(),
            trace,
            scene: ForkScene {
                areas: process.vmas,
                regions: baseline.regions,
                collector: baseline.collector,
                reference: baseline.reference_pid.unwrap_or(baseline.zygote_pid),
            },
        })
    }

    /// Adds the next worker; its index is the number of workers before it.
    pub fn add_worker(&mut self, pid: u32) {
        let worker = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        self.members.push(Member { pid, alive: true });
        self.recording.workers.push(WorkerInfo { worker, pid, fate: Fate::Finished });
        self.log.add_worker(worker);
    }

    /// Adds the next worker, when it and the zygote still stand still after its fork.
    ///
    /// What the zygote wrote before this fork and after earlier ones is then known to be no breach
    /// between it and this worker.
    pub fn add_still_worker(&mut self, pid: u32) -> Result<()> {
        let at_fork = self.evidence.read_fork(&self.inherited, self.zygote, pid)?;
        self.evidence.note_fork(self.members.len(), at_fork);
        self.add_worker(pid);
        Ok(())
    }

    /// Notes how long a worker took for the step that ends with the next snapshot.
    pub fn note_time(&mut self, index: usize, nanoseconds: u64) {
        self.times.insert(index, nanoseconds);
    }

    /// Notes how a worker ended. One whose step failed lives on and is still measured.
    pub fn worker_ended(&mut self, index: u32, fate: Fate) {
        let index = index as usize;
        if let Some(member) = self.members.get_mut(index) {
            member.alive = matches!(fate, Fate::Finished | Fate::Failed { .. });
        }
        if let Some(info) = self.recording.workers.get_mut(index) {
            info.fate = fate;
        }
    }

    /// Workers that are still measured.
    pub fn workers_alive(&self) -> usize {
        self.members.iter().filter(|member| member.alive).count()
    }

    /// Adds a finding to the recording.
    pub fn add_finding(&mut self, finding: Finding) {
        self.recording.findings.push(finding);
    }

    /// Adds a remark on how it was measured.
    pub fn add_note(&mut self, note: impl Into<String>) {
        self.recording.about.notes.push(note.into());
    }

    /// Reads the whole family, which must stand still, and appends a step.
    pub fn snapshot(&mut self, name: &str, requests: Option<u64>) -> Result<()> {
        let seconds = self.forked.elapsed().as_secs_f64();
        let alive: Vec<(usize, u32)> = self
            .members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.alive)
            .map(|(i, member)| (i, member.pid))
            .collect();
        self.trace.stand_aside()?;
        let moment = self.read_family(&alive)?;
        let diffs = self.diffs(&moment, &alive)?;
        let step_index = step_number(self.recording.steps.len());
        let mut step = Step { name: name.into(), requests, seconds, ..Step::default() };
        let comparison = Comparison {
            inherited: &self.inherited,
            evidence: &self.evidence,
            reference: self.reference,
            zygote: &moment.zygote,
        };
        for (position, &(index, pid)) in alive.iter().enumerate() {
            let diff = &diffs[position];
            let bytes = comparison.changed_bytes(index, &moment.workers[position], diff)?;
            self.log.update(index, step_index, diff, &bytes);
            self.count_changes(&bytes, &mut step);
            let worker = u32::try_from(index).unwrap_or(u32::MAX);
            let nanoseconds = self.times.remove(&index).unwrap_or(0);
            step.workers.push(WorkerStep { nanoseconds, ..self.log.summary(worker, pid, diff) });
        }
        self.count_regions(&diffs, &mut step);
        step.fresh_regions = regions::fresh_pages(&diffs, &self.scene.regions);
        let owners = frame_owners(&moment);
        step.ledger = self.ledger(&moment, &diffs, owners.as_ref());
        step.cross_check = self.cross_check(&moment, &diffs, owners.as_ref(), &step.ledger)?;
        self.recording.steps.push(step);
        self.trace.harvest(&self.inherited)
    }

    /// The witness of single writes.
    pub fn trace(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// Ends the measurement and explains what it found. `complete` is false when it was cut short.
    ///
    /// Call it while the frozen sibling still lives: it holds the bytes that were written over.
    pub fn finish(mut self, complete: bool) -> Recording {
        self.recording.about.complete = complete;
        self.recording.pages = self.log.finish(&self.inherited);
        explain(&mut self.recording, &mut self.trace, &self.scene);
        self.recording
    }

    #[tracing::instrument(level = "debug", skip_all)]
    fn read_family(&self, alive: &[(usize, u32)]) -> Result<Moment> {
        let workers = alive.iter().map(|&(_, pid)| pid);
        let pids: Vec<u32> = std::iter::once(self.zygote).chain(self.reference).chain(workers).collect();
        let mut processes = read_processes(&self.root, &pids).into_iter();
        let mut next = || processes.next().unwrap_or_else(|| Err(Error::new("a process was not read")));
        let zygote = next()?;
        let reference = self.reference.map(|_| next()).transpose()?;
        let workers = processes.collect::<Result<Vec<Process>>>()?;
        Ok(Moment { zygote, reference, workers })
    }

    #[tracing::instrument(level = "debug", skip_all)]
    fn diffs(&self, moment: &Moment, alive: &[(usize, u32)]) -> Result<Vec<Diff>> {
        let moment = self.evidence.settle(moment);
        let judge = self.evidence.at(&moment)?;
        let judge_worker = |(position, (worker, &(index, _))): (usize, (&Process, &(usize, u32)))| {
            let evidence = judge.for_worker(position, self.evidence.at_fork(index));
            diff(&self.inherited, &moment.zygote, worker, &evidence.borrow())
        };
        Ok(moment.workers.iter().zip(alive).enumerate().map(judge_worker).collect())
    }

    /// Adds the changed bytes of one worker to those of the step, region by region.
    fn count_changes(&self, bytes: &ChangedBytes, step: &mut Step) {
        let mut bytes = bytes.clone();
        bytes.sort_unstable();
        let mut changed = bytes.into_iter().filter(|(_, count)| *count > 0).peekable();
        for (run, &region) in self.inherited.table.runs.iter().zip(&self.inherited.region_of_run) {
            while let Some((_, count)) = changed.next_if(|(index, _)| *index < run.offset + run.len) {
                let name = &self.inherited.regions[region as usize];
                *step.changed_regions.entry(name.clone()).or_default() += u64::from(count);
            }
        }
    }

    #[tracing::instrument(level = "debug", skip_all)]
    fn count_regions(&self, diffs: &[Diff], step: &mut Step) {
        let mut broken = vec![0_u64; self.inherited.regions.len()];
        for diff in diffs {
            for (region, state) in self.inherited.region_of_page().zip(&diff.states) {
                broken[region as usize] += u64::from(state.broken());
            }
        }
        let named = self.inherited.regions.iter().cloned().zip(broken);
        step.regions = named.filter(|&(_, count)| count > 0).collect();
    }

    #[tracing::instrument(level = "debug", skip_all)]
    fn ledger(&self, moment: &Moment, diffs: &[Diff], owners: Option<&FrameOwners>) -> Ledger {
        let members: Vec<(u32, u64)> =
            moment.members().map(|process| (process.pid, process.page_table_bytes)).collect();
        if let Some(owners) = owners {
            return owners.ledger(&members);
        }
        let workers: Vec<_> = members[1..]
            .iter()
            .zip(diffs)
            .map(|(&(pid, page_tables), diff)| (pid, page_tables, diff))
            .collect();
        let inherited_left = self.inherited.len() as u64;
        let zygote_fresh = moment.zygote.private_pages().saturating_sub(inherited_left);
        Ledger::of_states(members[0], zygote_fresh, &workers)
    }

    /// Our totals and the kernel's, over every process that maps family frames: the frozen sibling too.
    #[tracing::instrument(level = "debug", skip_all)]
    fn cross_check(
        &self,
        moment: &Moment,
        diffs: &[Diff],
        owners: Option<&FrameOwners>,
        ledger: &Ledger,
    ) -> Result<CrossCheck> {
        let all: Vec<(u32, u64)> =
            moment.members().chain(&moment.reference).map(|process| (process.pid, 0)).collect();
        let totals = in_parallel(&all, |&(pid, _)| read_rollup(&self.root, pid))
            .into_iter()
            .collect::<Result<Vec<Rollup>>>()?;
        let workers = 1..=moment.workers.len();
        let (unique, distinct): (u64, u64) = match owners.map(|owners| owners.ledger(&all)) {
            Some(ledger) => (
                ledger.shares[workers.clone()].iter().map(|share| share.unique_frames).sum(),
                ledger.distinct_frames,
            ),
            None => (
                diffs.iter().map(|diff| diff.count(PageState::by_worker) + diff.fresh_pages()).sum(),
                ledger.distinct_frames + left_to_the_sibling(diffs),
            ),
        };
        Ok(CrossCheck {
            workers_anon_huge: totals[workers.clone()].iter().map(|rollup| rollup.anon_huge).sum(),
            workers_private_dirty: totals[workers].iter().map(|rollup| rollup.private_dirty).sum(),
            workers_unique: unique * PAGE_SIZE,
            family_pss_anon: totals.iter().map(|rollup| rollup.pss_anon).sum(),
            family_distinct: distinct * PAGE_SIZE,
        })
    }
}

/// Who maps each frame: the members, then the frozen sibling.
#[tracing::instrument(level = "debug", skip_all)]
fn frame_owners(moment: &Moment) -> Option<FrameOwners> {
    FrameOwners::new(moment.members().chain(&moment.reference).map(|process| &process.pages))
}

/// The agent's own pages: no part of the program measured.
fn areas_of_the_agent(process: &Process) -> Vec<std::ops::Range<Vpn>> {
    let is_agent = |name: &str| name.trim_end_matches(" (deleted)").ends_with(agent::FILE_NAME);
    process.vmas.iter().filter(|vma| is_agent(&vma.name)).map(|vma| vma.start..vma.end).collect()
}
