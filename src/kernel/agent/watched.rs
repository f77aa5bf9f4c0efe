//! One watched process: its log of faults, put together with what its handler saw of each.

use super::area::Area;
use crate::agent::wire::{FrameWord, Trap};
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
    /// Traps whose fault has not been read yet, by thread, in order.
    waiting: BTreeMap<u32, VecDeque<Trap>>,
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
        let (traps, traps_read) = self.area.traps(self.traps_read);
        self.traps_read = traps_read;
        for trap in traps {
            self.waiting.entry(trap.thread).or_default().push_back(trap);
        }
        let mut events = self.new_faults();
        events.sort_by_key(|event| (event.thread, event.nanos));
        for event in &mut events {
            let waiting = self.waiting.entry(event.thread).or_default();
            // A signal that was blocked comes once for many faults: the others have no trap.
            if waiting.front().is_some_and(|trap| trap.address == event.address)
                && let Some(trap) = waiting.pop_front()
            {
                enrich(event, &trap);
            }
        }
        self.delivered += events.len() as u64;
        events
    }

    /// Faults of the agent's log, then those that still are in the rings.
    fn new_faults(&mut self) -> Vec<BreakEvent> {
        let (faults, faults_read) = self.area.faults(self.faults_read);
        self.faults_read = faults_read;
        let mut events: Vec<BreakEvent> = Vec::with_capacity(faults.len());
        for fault in faults {
            if !self.ahead.remove(&(fault.nanos, fault.address)) {
                events.push(BreakEvent {
                    address: fault.address,
                    instruction: fault.instruction,
                    nanos: fault.nanos,
                    pid: self.pid,
                    thread: fault.thread,
                    ..BreakEvent::default()
                });
            }
        }
        for event in self.rings.iter().flat_map(RingView::pending) {
            if self.ahead.insert((event.nanos, event.address)) {
                events.push(event);
            }
        }
        events
    }

    /// Maps the log as far as it was used, so that the kernel does not count it as the process alone's.
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
