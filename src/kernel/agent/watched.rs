//! One watched process: its log of faults, put together with what its handler saw of each.

use super::area::Area;
use crate::agent::wire::{Fault, FrameWord, Trap};
use crate::error::Result;
use crate::kernel::event::BreakEvent;
use crate::kernel::perf::{RingView, read_counter};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::os::fd::OwnedFd;

/// A process that is watched. The descriptors of its events are ours alone: when they close, it is
/// watched no more.
#[derive(Debug)]
pub struct Watched {
    pid: u32,
    area: Area,
    rings: Vec<RingView>,
    faults_read: usize,
    traps_read: usize,
    /// Numbers of the traps whose fault has not been read yet, by thread, in order.
    waiting: BTreeMap<u32, VecDeque<u32>>,
    /// Records that were taken from a ring before the agent moved them to its log.
    ahead: HashSet<(u64, u64)>,
    delivered: u64,
}

/// The Python frames of one fault, innermost first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stack {
    /// At most 64 frames.
    pub frames: Vec<FrameWord>,
    /// There were more.
    pub cut: bool,
}

impl Watched {
    pub(super) fn new(pid: u32, area: &OwnedFd, events: Vec<OwnedFd>) -> Result<Self> {
        let area = Area::map(area)?;
        let pages = area.header.ring_pages as usize;
        let rings =
            events.into_iter().map(|event| RingView::map(event, pages)).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            pid,
            area,
            rings,
            faults_read: 0,
            traps_read: 0,
            waiting: BTreeMap::new(),
            ahead: HashSet::new(),
            delivered: 0,
        })
    }

    /// The process.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// `CLOCK_MONOTONIC` when it began to be watched, in nanoseconds.
    pub const fn armed_nanos(&self) -> u64 {
        self.area.header.armed_nanos
    }

    /// Whether faults of the kernel are seen too.
    pub const fn kernel_included(&self) -> bool {
        self.area.header.kernel_included != 0
    }

    /// The faults since the last harvest, in the order of their times within each thread. The process
    /// should stand still; what it does meanwhile comes with the next harvest.
    pub fn harvest(&mut self) -> Vec<BreakEvent> {
        let mut events = Vec::new();
        self.harvest_each(|_, event| events.push(event));
        events
    }

    /// As [`Self::harvest`], one after the other: of all faults only what the kernel told is held at a
    /// time, a sixth of an event.
    pub fn harvest_each(&mut self, mut each: impl FnMut(&Self, BreakEvent)) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let (traps, traps_read) = self.area.traps(self.traps_read);
        for (number, thread) in traps {
            waiting.entry(thread).or_default().push_back(number);
        }
        self.traps_read = traps_read;
        let mut faults = self.new_faults();
        faults.sort_by_key(|fault| (fault.thread, fault.nanos));
        self.delivered += faults.len() as u64;
        for fault in faults {
            let mut event = self.event(&fault);
            // A signal that was blocked comes once for many faults: the others have no trap.
            if let Some(numbers) = waiting.get_mut(&fault.thread)
                && let Some(trap) = numbers.front().and_then(|&number| self.area.trap(number))
                && trap.address == fault.address
            {
                numbers.pop_front();
                enrich(&mut event, &trap);
            }
            each(self, event);
        }
        waiting.retain(|_, numbers| !numbers.is_empty());
        self.waiting = waiting;
    }

    /// Faults of the agent's log, then those that still are in the rings.
    fn new_faults(&mut self) -> Vec<Fault> {
        let (logged, faults_read) = self.area.faults(self.faults_read);
        let ahead = &mut self.ahead;
        let mut faults = Vec::with_capacity(faults_read - self.faults_read);
        faults.extend(logged.filter(|fault| !ahead.remove(&(fault.nanos, fault.address))));
        self.faults_read = faults_read;
        for event in self.rings.iter().flat_map(RingView::pending) {
            if ahead.insert((event.nanos, event.address)) {
                let BreakEvent { address, instruction, nanos, thread, .. } = event;
                faults.push(Fault { address, instruction, nanos, thread, ready: 1 });
            }
        }
        faults
    }

    fn event(&self, fault: &Fault) -> BreakEvent {
        let &Fault { address, instruction, nanos, thread, .. } = fault;
        BreakEvent { address, instruction, nanos, pid: self.pid, thread, ..BreakEvent::default() }
    }

    /// Maps the log as far as it was used: see [`Area::share`].
    pub fn share(&mut self) {
        self.area.share();
    }

    /// Faults that the kernel counted, and those that were harvested so far.
    pub fn counted_and_delivered(&self) -> Result<(u64, u64)> {
        let counted = self.rings.iter().map(read_counter).sum::<Result<u64>>()?;
        Ok((counted, self.delivered))
    }

    /// The stack of an event by its number.
    pub fn stack(&self, number: u32) -> Option<Stack> {
        self.area.stack(number).map(|(frames, cut)| Stack { frames, cut })
    }

    /// Stacks that found no room in the agent's table.
    pub fn stacks_dropped(&self) -> u64 {
        self.area.stacks_dropped()
    }
}

/// Adds what the handler saw. A late signal was handled elsewhere: nothing it saw is of the fault.
fn enrich(event: &mut BreakEvent, trap: &Trap) {
    if trap.flags & Trap::LATE != 0 {
        return;
    }
    event.stack = (trap.stack != 0).then_some(trap.stack);
    event.gil_released = trap.flags & Trap::GIL_RELEASED != 0;
    if !event.by_kernel() {
        event.old = (trap.flags & Trap::OLD != 0).then_some(trap.old);
        event.registers = Some(trap.registers);
    }
}
