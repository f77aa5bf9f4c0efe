//! One watched process: its log of faults, put together with what its handler saw of each.

use super::area::Area;
use crate::agent::wire::{Fault, FrameWord, Trap};
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
    waiting: BTreeMap<u32, VecDeque<Waiting>>,
    /// Records that were taken from a ring before the agent moved them to its log.
    ahead: HashSet<(u64, u64)>,
    delivered: u64,
}

/// A trap whose fault has not been read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Its number in the log.
    pub number: u32,
    /// The byte that was touched.
    pub address: u64,
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
        let mut events = Vec::new();
        self.harvest_each(|_, event| events.push(event));
        events
    }

    /// As [`Self::harvest`], one after the other: of all faults only what the kernel told is held at a
    /// time, a sixth of an event.
    pub fn harvest_each(&mut self, mut each: impl FnMut(&Self, BreakEvent)) {
        let (traps, traps_read) = self.area.traps(self.traps_read);
        for (thread, trap) in traps {
            self.waiting.entry(thread).or_default().push_back(trap);
        }
        self.traps_read = traps_read;
        let mut faults = self.new_faults();
        faults.sort_by_key(|fault| (fault.thread, fault.nanos));
        self.delivered += faults.len() as u64;
        let traps = pair(&faults, &mut self.waiting);
        for (fault, trap) in faults.iter().zip(traps) {
            let mut event = self.event(fault);
            if let Some(trap) = trap.and_then(|number| self.area.trap(number)) {
                enrich(&mut event, &trap);
            }
            each(self, event);
        }
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

/// Gives each fault the number of its trap. Both stand in the order of their times within each thread.
///
/// A signal that was blocked comes once for many faults: the others have no trap. And a trap whose fault
/// found no room in its ring has no event: it was logged after all of them, and none is of its address.
fn pair(faults: &[Fault], waiting: &mut BTreeMap<u32, VecDeque<Waiting>>) -> Vec<Option<u32>> {
    let mut to_come: HashMap<(u32, u64), u32> = HashMap::with_capacity(faults.len());
    for fault in faults {
        *to_come.entry((fault.thread, fault.address)).or_default() += 1;
    }
    let mut paired = Vec::with_capacity(faults.len());
    for Fault { thread, address, .. } in faults {
        let traps = waiting.entry(*thread).or_default();
        let lost = |trap: &Waiting| to_come.get(&(*thread, trap.address)).is_none_or(|left| *left == 0);
        while traps.front().is_some_and(lost) {
            traps.pop_front();
        }
        let own = traps.front().is_some_and(|trap| trap.address == *address);
        paired.push(if own { traps.pop_front().map(|trap| trap.number) } else { None });
        if let Some(left) = to_come.get_mut(&(*thread, *address)) {
            *left -= 1;
        }
    }
    waiting.retain(|_, traps| !traps.is_empty());
    paired
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

    /// The traps that faults at these addresses get, when those at others were logged.
    fn paired(faults: &[u64], traps: &[u64]) -> Vec<Option<u32>> {
        let fault = |&address: &u64| Fault { address, instruction: 0, nanos: 0, thread: 5, ready: 1 };
        let faults: Vec<Fault> = faults.iter().map(fault).collect();
        let traps = (0..).zip(traps).map(|(number, &address)| Waiting { number, address });
        pair(&faults, &mut BTreeMap::from([(5, traps.collect())]))
    }

    #[test]
    fn each_fault_gets_its_own_trap() {
        assert_eq!(paired(&[1, 2, 1], &[1, 2, 1]), [Some(0), Some(1), Some(2)]);
        // Blocked: one late trap for the first of many.
        assert_eq!(paired(&[1, 2, 3, 4], &[1, 4]), [Some(0), None, None, Some(1)]);
        // The ring had no room for the faults of the first two traps.
        assert_eq!(paired(&[3, 4], &[1, 2, 3, 4]), [Some(2), Some(3)]);
        // Nor for that of the second trap, whose page had been touched before.
        assert_eq!(paired(&[1, 3], &[1, 1, 3]), [Some(0), Some(2)]);
    }

    #[test]
    fn nothing_of_a_late_signal_is_of_the_fault() {
        let trap = |flags| Trap {
            address: 8,
            instruction: 0,
            old: [0; 16],
            registers: [9; 16],
            thread: 5,
            stack: 3,
            flags,
            ready: 1,
        };
        let mut event = BreakEvent { address: 8, thread: 5, ..BreakEvent::default() };
        let before = event;
        enrich(&mut event, &trap(Trap::LATE));
        assert_eq!(event, before);
        enrich(&mut event, &trap(Trap::OLD));
        assert_eq!((event.stack, event.registers, event.old), (Some(3), Some([9; 16]), Some([0; 16])));
    }
}
