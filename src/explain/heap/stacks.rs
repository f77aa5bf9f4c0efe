//! The stacks of threads other than the first, as glibc lays them out.
//!
//! A stack begins behind a guard that nobody may touch, and ends with the thread's `struct pthread`
//! (`nptl/allocatestack.c`), whose first and third words point to itself (`tcbhead_t` in
//! `sysdeps/x86_64/nptl/tls.h`). The kernel may have merged the area with what follows the stack.

use crate::cpython::memory::Memory;
use crate::family::Vma;
use std::ops::Range;

/// `struct pthread` begins in the last so many bytes of a stack,
pub(super) const LAST_BYTES: usize = 4096;
/// aligned to so many bytes.
const ALIGNMENT: usize = 64;
/// Sizes of stacks that are tried where an area has more than one: powers of two, of which these are the
/// least and the greatest exponent.
const SIZES: std::ops::RangeInclusive<u32> = 16..=30;

/// The stacks of the threads that there are, or that ended and whose stacks are kept for others.
pub(super) struct Stacks {
    /// Ascending.
    ranges: Vec<Range<u64>>,
}

impl Stacks {
    /// Looks behind every guard.
    pub fn find(memory: &dyn Memory, areas: &[Vma]) -> Self {
        let neighbours = areas.iter().zip(areas.iter().skip(1));
        Self { ranges: neighbours.filter_map(|(guard, area)| stack(memory, guard, area)).collect() }
    }

    /// Whether an address is in one of them.
    pub fn contain(&self, address: u64) -> bool {
        let after = self.ranges.partition_point(|range| range.start <= address);
        self.ranges[..after].last().is_some_and(|range| range.contains(&address))
    }
}

fn stack(memory: &dyn Memory, guard: &Vma, area: &Vma) -> Option<Range<u64>> {
    let closed = !guard.flags.read && !guard.flags.write && !guard.flags.execute;
    let plain = !guard.is_file() && !area.is_file() && area.flags.private && area.flags.write;
    if !closed || !plain || guard.end != area.start {
        return None;
    }
    let (start, end) = (area.start.address(), area.end.address());
    let sizes = SIZES.map(|exponent| guard.start.address() + (1 << exponent));
    let top = std::iter::once(end)
        .chain(sizes)
        .filter(|top| (start + LAST_BYTES as u64..=end).contains(top))
        .find(|top| thread_in(memory, top - LAST_BYTES as u64).is_some())?;
    Some(start..top)
}

/// Where a `struct pthread` begins in the 4096 bytes at an address, if one does.
pub(super) fn thread_in(memory: &dyn Memory, start: u64) -> Option<u64> {
    let mut bytes = [0; LAST_BYTES];
    memory.read(start, &mut bytes).then_some(())?;
    let places = (start..).step_by(ALIGNMENT).zip(bytes.chunks_exact(ALIGNMENT));
    let mut threads = places.filter(|(address, bytes)| {
        let itself = address.to_le_bytes();
        *address != 0 && bytes.starts_with(&itself) && bytes[16..].starts_with(&itself)
    });
    threads.next().map(|(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::VmaFlags;
    use crate::units::Vpn;

    const START: u64 = 0x7f00_0000_0000;

    fn vma(start: u64, end: u64, open: bool) -> Vma {
        let flags = VmaFlags { read: open, write: open, execute: false, private: true };
        let (start, end) = (Vpn::of_address(start), Vpn::of_address(end));
        Vma { start, end, flags, offset: 0, inode: 0, name: String::new() }
    }

    /// Zeroes, but for a `struct pthread` at an address.
    fn thread_at(thread: u64) -> impl Fn(u64, &mut [u8]) -> bool {
        move |address, buffer| {
            buffer.fill(0);
            for at in [thread, thread + 16].map(|at| usize::try_from(at.wrapping_sub(address)).unwrap()) {
                if let Some(word) = buffer.get_mut(at..).and_then(|bytes| bytes.first_chunk_mut()) {
                    *word = thread.to_le_bytes();
                }
            }
            true
        }
    }

    #[test]
    fn a_stack_ends_at_its_thread_whatever_follows() {
        let end = START + (8 << 20);
        let areas = [vma(START, START + 4096, false), vma(START + 4096, end + (1 << 20), true)];
        let stacks = Stacks::find(&thread_at(end - 2304), &areas);
        assert!(stacks.contain(START + 4096) && stacks.contain(end - 1));
        assert!(!stacks.contain(START) && !stacks.contain(end));
    }

    #[test]
    fn a_stack_of_any_size_may_end_with_its_area() {
        let end = START + 77 * 4096;
        let areas = [vma(START, START + 4096, false), vma(START + 4096, end, true)];
        assert!(Stacks::find(&thread_at(end - 2304), &areas).contain(end - 1));
    }

    #[test]
    fn what_has_no_guard_or_no_thread_is_no_stack() {
        let end = START + (8 << 20);
        let open = [vma(START, START + 4096, true), vma(START + 4096, end, true)];
        let apart = [vma(START, START + 4096, false), vma(START + 8192, end, true)];
        let guarded = [vma(START, START + 4096, false), vma(START + 4096, end, true)];
        let found = |areas, thread| Stacks::find(&thread_at(thread), areas).contain(end - 1);
        assert!(!found(&open, end - 2304) && !found(&apart, end - 2304));
        assert!(!found(&guarded, START + 8192));
        assert!(found(&guarded, end - 2304));
        assert!(!Stacks::find(&|_, _: &mut [u8]| false, &guarded).contain(end - 1));
    }
}
