//! The witness of one family: takes the events of every member, snapshot by snapshot.

use crate::agent::wire::Message;
use crate::cpython::census::Census;
use crate::cpython::offsets::Offsets;
use crate::error::{Error, Result};
use crate::explain::code::Code;
use crate::explain::names::Names;
use crate::explain::rows::{Seen, Witnessed};
use crate::explain::stacks::Stacks;
use crate::family::{Inherited, Witness};
use crate::kernel::agent::{Agent, CensusMemory, Report, Watched};
use crate::kernel::event::BreakEvent;
use crate::kernel::perf::RingWitness;
use crate::kernel::remote::SharedMemory;
use crate::units::Vpn;
use std::collections::BTreeMap;

/// What witnesses single writes in one family, and what it has seen.
#[derive(Debug)]
pub struct Trace {
    source: Source,
    watched: BTreeMap<u32, Watched>,
    seen: BTreeMap<u32, Vec<Seen>>,
    stacks: Stacks,
    code: Code,
    /// Tables that frames are named in.
    pub(super) names: Names,
    census: Option<CensusMemory>,
    offsets: Option<Offsets>,
    notes: Vec<String>,
    lost: u64,
}

#[derive(Debug)]
enum Source {
    Agent(Agent),
    Ring(RingWitness, Option<Agent>),
    Nothing,
}

impl Trace {
    /// Rung A: an agent that the zygote was started with.
    pub fn agent(agent: Agent) -> Self {
        Self::of(Source::Agent(agent))
    }

    /// Rung B: rings of the kernel, on a zygote that runs. An agent in it may list its objects.
    pub fn ring(zygote: u32, agent: Option<Agent>) -> Result<Self> {
        RingWitness::attach(zygote).map(|ring| Self::of(Source::Ring(ring, agent)))
    }

    /// Nothing witnesses single writes.
    pub fn none() -> Self {
        Self::of(Source::Nothing)
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            watched: BTreeMap::new(),
            seen: BTreeMap::new(),
            stacks: Stacks::default(),
            code: Code::default(),
            names: Names::default(),
            census: None,
            offsets: None,
            notes: Vec::new(),
            lost: 0,
        }
    }

    /// How breaks are witnessed.
    pub const fn witness(&self) -> Witness {
        match self.source {
            Source::Agent(_) => Witness::Sigtrap,
            Source::Ring(..) => Witness::Ring,
            Source::Nothing => Witness::None,
        }
    }

    /// The agent, where there is one.
    pub const fn as_agent(&mut self) -> Option<&mut Agent> {
        match &mut self.source {
            Source::Agent(agent) | Source::Ring(_, Some(agent)) => Some(agent),
            Source::Ring(_, None) | Source::Nothing => None,
        }
    }

    /// Says how `CPython` is laid out in the family. Without it frames and objects have no names.
    pub fn read_python_with(&mut self, offsets: Offsets) {
        self.offsets = Some(offsets);
    }

    /// Adds a remark for the reader of the report.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Takes in what processes have reported.
    pub fn listen(&mut self) -> Result<()> {
        let Some(agent) = self.as_agent() else { return Ok(()) };
        for report in agent.reports()? {
            match report {
                Report::Armed(watched) => {
                    self.watched.insert(watched.pid(), *watched);
                }
                Report::Census { memory, .. } => self.census = Some(memory),
                Report::Refused(refused) if refused.stage == Message::STAGE_CENSUS => {
                    self.notes.push(format!("objects have no owners: {refused}"));
                }
                Report::Refused(refused) => self.notes.push(format!("not watched: {refused}")),
                Report::Unusable(error) => self.notes.push(format!("not watched: {}", error.in_one_line())),
            }
        }
        Ok(())
    }

    /// Makes sure that memory of the agent is not counted as the program's. Before totals are read.
    pub fn stand_aside(&mut self) -> Result<()> {
        self.listen()?;
        self.watched.values_mut().for_each(Watched::share);
        Ok(())
    }

    /// Whether a process is watched.
    pub fn watches(&self, pid: u32) -> bool {
        matches!(self.source, Source::Ring(..)) || self.watched.contains_key(&pid)
    }

    /// Takes the events since the last harvest. The family should stand still.
    ///
    /// Only events on inherited pages are kept: what a worker does to pages of its own breaks nothing.
    pub fn harvest(&mut self, inherited: &Inherited) -> Result<()> {
        self.listen()?;
        match &self.source {
            Source::Nothing => {}
            Source::Ring(ring, _) => {
                let mut memories: BTreeMap<u32, Option<SharedMemory>> = BTreeMap::new();
                for event in ring.take() {
                    if let Some(page) = inherited_page(inherited, &event) {
                        let open = || SharedMemory::open(event.pid).ok();
                        let memory = memories.entry(event.pid).or_insert_with(open);
                        let store = self.code.decode(&event, memory.as_ref().map(|memory| memory as _));
                        let seen = Seen::new(page, &event, store, None);
                        self.seen.entry(event.pid).or_default().push(seen);
                    }
                }
                self.lost = ring.counted()?.saturating_sub(ring.delivered());
            }
            Source::Agent(_) => self.harvest_watched(inherited)?,
        }
        Ok(())
    }

    fn harvest_watched(&mut self, inherited: &Inherited) -> Result<()> {
        self.lost = 0;
        for (&pid, watched) in &mut self.watched {
            let memory = SharedMemory::open(pid).ok();
            let seen = self.seen.entry(pid).or_default();
            watched.harvest_each(|watched, event| {
                let Some(page) = inherited_page(inherited, &event) else { return };
                let store = self.code.decode(&event, memory.as_ref().map(|memory| memory as _));
                let stack = event.stack.and_then(|number| {
                    let (memory, offsets) = (memory.as_ref()?, self.offsets.as_ref()?);
                    let read = || watched.stack(number);
                    self.stacks.name(&mut self.names, (pid, number), read, memory, offsets)
                });
                seen.push(Seen::new(page, &event, store, stack));
            });
            let (counted, delivered) = watched.counted_and_delivered()?;
            self.lost += counted.saturating_sub(delivered);
        }
        Ok(())
    }

    /// What was seen of a process, once.
    pub fn take_process(&mut self, pid: u32) -> Witnessed {
        let kernel_included = match &self.source {
            Source::Ring(ring, _) => ring.kernel_included(),
            _ => self.watched.get(&pid).is_some_and(Watched::kernel_included),
        };
        let complete = self.watches(pid) && self.lost == 0;
        let events = self.seen.remove(&pid).unwrap_or_default();
        Witnessed::new(events, complete, kernel_included)
    }

    /// `CLOCK_MONOTONIC` from which the times of breaks count: when the first worker was watched.
    pub fn began(&self, zygote: u32) -> u64 {
        let workers = self.watched.values().filter(|watched| watched.pid() != zygote);
        workers.map(Watched::armed_nanos).min().unwrap_or_else(|| {
            let events = self.seen.values().flatten();
            events.map(|seen| seen.nanos).min().unwrap_or(0)
        })
    }

    /// Faults that the kernel counted and did not deliver.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// The census of the zygote, once. An error says why it cannot be used.
    pub fn take_census(&mut self) -> Option<Result<Census>> {
        self.census.take().map(Census::read)
    }

    /// How `CPython` is laid out in the family.
    pub const fn offsets(&self) -> Option<&Offsets> {
        self.offsets.as_ref()
    }

    /// Remarks for the reader of the report.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        let dropped: u64 = self.watched.values().map(Watched::stacks_dropped).sum();
        if dropped > 0 {
            notes.push(format!(
                "{dropped} stacks found no room in the agent's table: their breaks have no line"
            ));
        }
        notes
    }

    /// Takes the tables that frames were named in.
    pub(super) fn take_names(&mut self) -> Names {
        std::mem::take(&mut self.names)
    }
}

fn inherited_page(inherited: &Inherited, event: &BreakEvent) -> Option<u32> {
    inherited.index_of(Vpn::of_address(event.address)).and_then(|page| u32::try_from(page).ok())
}

/// Says that a witness was asked for that cannot be had.
pub(super) fn refused(witness: Witness, why: String, raise: Option<String>) -> Error {
    let error = Error::new(format!("witness '{witness}' does not work here")).why(why);
    match raise {
        Some(fix) => error.fix(fix),
        None => error,
    }
}
