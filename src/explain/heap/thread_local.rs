//! The variables of the first thread that each thread has for itself. Those of other threads are at the
//! top of their stacks; the dynamic loader puts those of the first into memory of its own.
//!
//! They stand in front of the thread's `struct pthread`, whose second word leads to a table of them
//! (`dtv_t` in `sysdeps/generic/dl-dtv.h`: 16 bytes a library, after one that counts; in front of it its length).

use super::stacks::{LAST_BYTES, thread_in};
use crate::cpython::memory::Memory;
use crate::family::Vma;
use crate::units::PAGE_SIZE;

/// `sizeof(struct pthread)`, at least.
const PTHREAD_BYTES: u64 = 2304;
/// A thread is looked for on so many pages behind an address.
const PAGES: u64 = 4;
/// Most libraries with such variables that are believed.
const MOST_LIBRARIES: u64 = 4096;

/// Whether a variable of the thread, or its `struct pthread`, is at an address in an anonymous area.
pub(super) fn contains(memory: &dyn Memory, area: &Vma, address: u64) -> bool {
    let page = address - address % PAGE_SIZE;
    let first = page.saturating_sub(PAGE_SIZE).max(area.start.address());
    let pages = (first..area.end.address())
        .step_by(LAST_BYTES)
        .take_while(|start| *start <= page + PAGES * PAGE_SIZE);
    let mut threads = pages.filter_map(|start| thread_in(memory, start));
    threads.any(|thread| {
        let lowest = lowest_variable(memory, area, thread).unwrap_or(thread);
        (lowest..thread + PTHREAD_BYTES).contains(&address)
    })
}

/// The lowest of the thread's variables that stand in front of it, in the same area.
fn lowest_variable(memory: &dyn Memory, area: &Vma, thread: u64) -> Option<u64> {
    let table = memory.word(thread + 8)?;
    let length = memory.word(table.checked_sub(16)?)?.min(MOST_LIBRARIES);
    let variables = (1..=length).filter_map(|library| memory.word(table.checked_add(16 * library)?));
    variables.filter(|at| (area.start.address()..thread).contains(at)).min()
}
