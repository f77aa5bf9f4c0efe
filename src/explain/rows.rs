//! One row for each page that was ever broken: its first write, or why none was seen.

use super::explainer::{Explained, Explainer};
use super::names::Names;
use super::stacks::NamedStack;
use crate::family::breaks::{Break, Flags, NONE};
use crate::family::recording::{NO_STEP, PageCell, WorkerPages};
use crate::family::{Cause, PageState};
use crate::kernel::event::BreakEvent;
use crate::units::PAGE_SIZE;
use std::collections::BTreeMap;

/// An event on an inherited page, with its stack named.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Index of the inherited page.
    pub page: u32,
    /// The event.
    pub event: BreakEvent,
    /// Its Python frames.
    pub stack: Option<NamedStack>,
}

/// What one process did to inherited pages.
#[derive(Debug, Clone, Default)]
pub struct Witnessed {
    /// The events, in any order.
    pub events: Vec<Seen>,
    /// The process was watched.
    pub watched: bool,
    /// Every user-mode fault was delivered, and faults of the kernel are none of the events.
    pub kernel_is_the_rest: bool,
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
    let (worker_events, zygote_events) = (by_page(&worker.events), by_page(&zygote.events));
    let first_step = pages.cells.iter().map(|cell| cell.step).min().unwrap_or(NO_STEP);
    let mut rows = Vec::new();
    for (page, (index, cell)) in (0_u32..).zip(pages.cells.iter().enumerate()) {
        let Some(state) = broken_state(pages, index, *cell) else { continue };
        let by_zygote = state == PageState::BrokenByZygote;
        let (witness, events) = if by_zygote { (zygote, &zygote_events) } else { (worker, &worker_events) };
        let events = events.get(&page).map_or(&[][..], Vec::as_slice);
        let flags = if by_zygote { Flags::BY_ZYGOTE } else { 0 };
        let row = Row { worker: pages.worker, page, step: cell.step, flags };
        let found = first_write(events, explainer);
        rows.push(match found {
            Some(seen) => row.explained(&seen, explainer.explain(names, &seen.event), fork_nanos),
            None if cell.step == first_step => row.unseen(Cause::Floor),
            None if witness.kernel_is_the_rest => row.unseen(Cause::KernelWrite),
            None => row.unseen(Cause::Unexplained),
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

/// Events of each page, in the order of their times.
fn by_page(events: &[Seen]) -> BTreeMap<u32, Vec<Seen>> {
    let mut pages: BTreeMap<u32, Vec<Seen>> = BTreeMap::new();
    for seen in events {
        pages.entry(seen.page).or_default().push(*seen);
    }
    for events in pages.values_mut() {
        events.sort_by_key(|seen| seen.event.nanos);
    }
    pages
}

/// The first event that is a write. Where the instruction of none can be read as one, the first event:
/// that something touched the page is known, and no more.
fn first_write(events: &[Seen], explainer: &Explainer<'_>) -> Option<Seen> {
    let write = events.iter().find(|seen| explainer.is_write(&seen.event));
    write.or_else(|| events.first()).copied()
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
        let Seen { event, stack, .. } = seen;
        let flag = |holds: bool, flag: u8| if holds { flag } else { 0 };
        let flags = self.flags
            | Flags::SEEN
            | flag(event.gil_released, Flags::GIL_RELEASED)
            | flag(event.by_kernel(), Flags::BY_KERNEL)
            | flag(stack.is_some_and(|stack| stack.cut), Flags::CUT);
        Break {
            cause: found.cause,
            offset: u16::try_from(event.address % PAGE_SIZE).unwrap_or(0),
            flags: Flags(flags),
            ty: found.ty,
            field: found.field,
            owner: found.owner,
            writer: found.writer,
            frame: stack.map_or(NONE, |stack| stack.frame),
            thread: event.thread,
            nanos: event.nanos.saturating_sub(fork_nanos),
            instruction: event.instruction,
            ..self.unseen(Cause::Unexplained)
        }
    }
}
