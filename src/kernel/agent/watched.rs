//! One watched process: its log of faults, put together with what its handler saw of each.

use super::area::Area;
use crate::agent::wire::{FrameWord, Trap};
use crate::error::{Error, Result};
use crate::kernel::event::BreakEvent;
use crate::kernel::perf::{RingView, read_counter};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
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
        if events.len() != area.header.rings as usize {
            return Err(Error::new("events of a process did not arrive")
                .pid(pid)
                .why(format!(
                    "{} of {}: this process may open no more files",
                    events.len(),
                    area.header.rings
                ))
                .fix("raise `ulimit -n`: every process takes a descriptor for each processor"));
        }
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
        pair(&mut events, &mut self.waiting);
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

/// Gives each event its trap. Both stand in the order of their times within each thread.
///
/// A signal that was blocked comes once for many faults: the others have no trap. And a trap whose fault
/// found no room in its ring has no event: it was logged after all of them, and none is of its address.
fn pair(events: &mut [BreakEvent], waiting: &mut BTreeMap<u32, VecDeque<Trap>>) {
    let mut to_come: HashMap<(u32, u64), usize> = HashMap::new();
    for event in &*events {
        *to_come.entry((event.thread, event.address)).or_default() += 1;
    }
    for event in events {
        let Some(traps) = waiting.get_mut(&event.thread) else { continue };
        let lost = |trap: &Trap| to_come.get(&(trap.thread, trap.address)).is_none_or(|left| *left == 0);
        while traps.front().is_some_and(lost) {
            traps.pop_front();
        }
        if traps.front().is_some_and(|trap| trap.address == event.address)
            && let Some(trap) = traps.pop_front()
        {
            enrich(event, &trap);
        }
        if let Some(left) = to_come.get_mut(&(event.thread, event.address)) {
            *left -= 1;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn trap(address: u64, flags: u32) -> Trap {
        Trap {
            address,
            instruction: 0,
            old: [0; 16],
            registers: [9; 16],
            thread: 5,
            stack: 3,
            flags,
            ready: 1,
        }
    }

    /// Events of these addresses get the stacks of these traps.
    fn paired(addresses: &[u64], traps: &[Trap]) -> Vec<bool> {
        let event = |&address: &u64| BreakEvent { address, thread: 5, ..BreakEvent::default() };
        let mut events: Vec<BreakEvent> = addresses.iter().map(event).collect();
        pair(&mut events, &mut BTreeMap::from([(5, traps.iter().copied().collect())]));
        events.iter().map(|event| event.stack == Some(3)).collect()
    }

    #[test]
    fn each_event_gets_its_own_trap() {
        let seen = |address| trap(address, 0);
        assert_eq!(paired(&[1, 2, 1], &[seen(1), seen(2), seen(1)]), [true, true, true]);
        // Blocked: one late trap for the first of many.
        assert_eq!(paired(&[1, 2, 3, 4], &[trap(1, Trap::LATE), seen(4)]), [false, false, false, true]);
        // The ring had no room for the faults of the first two traps.
        assert_eq!(paired(&[3, 4], &[seen(1), seen(2), seen(3), seen(4)]), [true, true]);
        // Nor for that of the second trap, whose page had been touched before.
        assert_eq!(paired(&[1, 3], &[seen(1), seen(1), seen(3)]), [true, true]);
    }
}
