//! One row for each page that was ever broken: its first write, or why none was seen.

use super::explainer::{Explained, Explainer};
use super::instruction::Decoded;
use super::names::Names;
use super::stacks::NamedStack;
use crate::family::breaks::{Break, Flags, NONE};
use crate::family::recording::{NO_STEP, PageCell, WorkerPages};
use crate::family::{Cause, PageState};
use crate::kernel::event::BreakEvent;
use crate::units::PAGE_SIZE;

/// An event on an inherited page, as much of it as explaining takes.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Index of the inherited page.
    pub page: u32,
    /// Thread.
    pub thread: u32,
    /// The byte.
    pub address: u64,
    /// The instruction.
    pub instruction: u64,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub nanos: u64,
    /// What the instruction does.
    pub store: Option<Decoded>,
    /// Its Python frames.
    pub stack: Option<NamedStack>,
    /// The thread did not hold the GIL.
    pub gil_released: bool,
}

impl Seen {
    /// The event of a page, with its instruction decoded and its stack named.
    pub const fn new(
        page: u32,
        event: &BreakEvent,
        store: Option<Decoded>,
        stack: Option<NamedStack>,
    ) -> Self {
        let BreakEvent { address, instruction, nanos, thread, gil_released, .. } = *event;
        Self { page, thread, address, instruction, nanos, store, stack, gil_released }
    }

    /// Whether the kernel touched the byte, on behalf of a system call.
    pub const fn by_kernel(&self) -> bool {
        self.instruction >> 63 != 0
    }

    /// Whether it is a write, as far as its instruction tells: reads fault too.
    fn is_write(&self) -> bool {
        self.by_kernel() || self.store.is_some_and(|store| store.writes() && store.covers != Some(false))
    }
}

/// What one process did to inherited pages.
#[derive(Debug, Clone, Default)]
pub struct Witnessed {
    /// The events, by page and then by time.
    events: Vec<Seen>,
    /// The process was watched, and every fault that was counted was delivered: a page without an event
    /// was written before, or by somebody whose faults are not counted.
    complete: bool,
    /// Faults of the kernel are counted too.
    kernel_included: bool,
}

impl Witnessed {
    /// What was seen of a process, in any order.
    pub fn new(mut events: Vec<Seen>, complete: bool, kernel_included: bool) -> Self {
        events.sort_unstable_by_key(|seen| (seen.page, seen.nanos));
        Self { events, complete, kernel_included }
    }

    /// Why a page was broken that no event tells of. `at_first` says that the first look at the worker
    /// found it so.
    const fn unseen(&self, at_first: bool) -> Cause {
        match (self.complete, at_first, self.kernel_included) {
            (true, true, _) => Cause::Floor,
            (true, false, false) => Cause::KernelWrite,
            _ => Cause::Unexplained,
        }
    }

    /// The first event of a page that is a write. Where none can be read as one, the first event: that
    /// something touched the page is known, and no more.
    fn first_write(&self, page: u32) -> Option<&Seen> {
        let start = self.events.partition_point(|seen| seen.page < page);
        let events = &self.events[start..];
        let of_page = events.iter().take_while(|seen| seen.page == page);
        of_page.clone().find(|seen| seen.is_write()).or_else(|| of_page.clone().next())
    }
}

/// Builds the rows of one worker.
///
/// `zygote` is what the zygote did; `fork_nanos` the time from which nanoseconds count.
pub fn of_worker(
    pages: &WorkerPages,
    worker: &Witnessed,
    zygote: &Witnessed,
    fork_nanos: u64,
    explainer: &mut Explainer<'_>,
    names: &mut Names,
) -> Vec<Break> {
    let first_step = pages.cells.iter().map(|cell| cell.step).min().unwrap_or(NO_STEP);
    let mut rows = Vec::new();
    for (page, (index, cell)) in (0_u32..).zip(pages.cells.iter().enumerate()) {
        let Some(state) = broken_state(pages, index, *cell) else { continue };
        let by_zygote = state == PageState::BrokenByZygote;
        let witness = if by_zygote { zygote } else { worker };
        let flags = if by_zygote { Flags::BY_ZYGOTE } else { 0 };
        let row = Row { worker: pages.worker, page, step: cell.step, flags };
        rows.push(match witness.first_write(page) {
            Some(seen) => row.explained(seen, explainer.explain(names, seen), fork_nanos),
            None => row.unseen(witness.unseen(cell.step == first_step)),
        });
    }
    rows
}

/// The state in which a page was broken, if it ever was: at the end, or before it was given up.
fn broken_state(pages: &WorkerPages, index: usize, cell: PageCell) -> Option<PageState> {
    if cell.step == NO_STEP {
        return None;
    }
    if cell.state.broken() {
        return Some(cell.state);
    }
    let index = u32::try_from(index).ok()?;
    let start = pages.earlier.partition_point(|earlier| earlier.page < index);
    let earlier = pages.earlier[start..].iter().take_while(|earlier| earlier.page == index);
    earlier.map(|earlier| earlier.state).filter(|state| state.broken()).last()
}

/// The part of a row that does not depend on what was seen.
struct Row {
    worker: u32,
    page: u32,
    step: u8,
    flags: u8,
}

impl Row {
    fn unseen(self, cause: Cause) -> Break {
        Break {
            worker: self.worker,
            page: self.page,
            cause,
            step: self.step,
            offset: 0,
            flags: Flags(self.flags),
            ty: NONE,
            field: NONE,
            owner: NONE,
            writer: NONE,
            frame: NONE,
            thread: 0,
            nanos: 0,
            instruction: 0,
        }
    }

    fn explained(self, seen: &Seen, found: Explained, fork_nanos: u64) -> Break {
        let stack = seen.stack;
        let flag = |holds: bool, flag: u8| if holds { flag } else { 0 };
        let flags = self.flags
            | Flags::SEEN
            | flag(seen.gil_released, Flags::GIL_RELEASED)
            | flag(seen.by_kernel(), Flags::BY_KERNEL)
            | flag(stack.is_some_and(|stack| stack.cut), Flags::CUT);
        Break {
            cause: found.cause,
            offset: u16::try_from(seen.address % PAGE_SIZE).unwrap_or(0),
            flags: Flags(flags),
            ty: found.ty,
            field: found.field,
            owner: found.owner,
            writer: found.writer,
            frame: stack.map_or(NONE, |stack| stack.frame),
            thread: seen.thread,
            nanos: seen.nanos.saturating_sub(fork_nanos),
            instruction: seen.instruction,
            ..self.unseen(Cause::Unexplained)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_without_an_event_is_explained_only_where_none_was_missed() {
        let unseen =
            |complete, at_first, kernel| Witnessed::new(Vec::new(), complete, kernel).unseen(at_first);
        assert_eq!(unseen(true, true, true), Cause::Floor);
        assert_eq!(unseen(true, false, false), Cause::KernelWrite);
        assert_eq!(unseen(true, false, true), Cause::Unexplained);
        assert_eq!(unseen(false, true, true), Cause::Unexplained, "not watched, or faults were lost");
        assert_eq!(unseen(false, false, false), Cause::Unexplained);
    }
}
