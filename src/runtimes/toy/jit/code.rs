//! Memory for compiled code: private, and never writable and executable at once.
#![allow(unsafe_code, reason = "writes compiled code")]

use crate::error::Result;
use crate::runtimes::toy::memory::mapping::{Access, Mapping, Sharing};
use crate::units::PAGE_SIZE;
use std::sync::atomic::{AtomicU32, Ordering};

/// Functions begin at multiples of this.
const FUNCTION_ALIGNMENT: usize = 16;
#[expect(clippy::cast_possible_truncation, reason = "4096")]
const PAGE: usize = PAGE_SIZE as usize;

/// One private anonymous mapping that code fills from its start.
///
/// Pages that hold code are readable and executable. To write, exactly the pages concerned become
/// writable instead of executable and change back at once. The memory is not shared: a patch made
/// in a worker breaks the page that the worker inherited, and the zygote does not see it.
pub(super) struct CodeArena {
    mapping: Mapping,
    used: usize,
    patched: Vec<usize>,
}

impl CodeArena {
    pub(super) fn map(bytes: u64) -> Result<Self> {
        let mapping = Mapping::new(bytes, Access::Closed, Sharing::Private, "compiled code")?;
        Ok(Self { mapping, used: 0, patched: Vec::new() })
    }

    /// Where the next function will begin, if there is any room.
    pub(super) fn next_address(&self) -> u64 {
        self.start() + self.used.next_multiple_of(FUNCTION_ALIGNMENT) as u64
    }

    /// Puts code at [`Self::next_address`]. Nothing when there is no room, or the system refuses.
    pub(super) fn emit(&mut self, code: &[u8]) -> Option<u64> {
        let offset = self.used.next_multiple_of(FUNCTION_ALIGNMENT);
        let end = offset.checked_add(code.len()).filter(|end| *end <= self.mapping.size())?;
        let pages = (offset / PAGE * PAGE, end.next_multiple_of(PAGE));
        if !self.mapping.protect(pages, Access::Write) {
            return None;
        }
        // SAFETY: the target lies inside the mapping, its pages are writable now, and no code of
        // this arena runs while the arena is borrowed uniquely: callers are below the machine.
        unsafe {
            let target = self.mapping.pointer().as_ptr().add(offset);
            std::ptr::copy_nonoverlapping(code.as_ptr(), target, code.len());
        }
        self.used = end;
        self.make_executable(pages);
        Some(self.start() + offset as u64)
    }

    /// Stores an aligned 4-byte operand inside existing code; false if that cannot be done.
    ///
    /// An operand that is there already is left alone, and its page with it.
    pub(super) fn patch(&mut self, address: usize, value: u32) -> bool {
        let Some(offset) = address.checked_sub(self.mapping.pointer().as_ptr().addr()) else { return false };
        if !offset.is_multiple_of(4) || offset + 4 > self.used {
            return false;
        }
        // SAFETY: the operand is aligned and inside of written code, which is always readable. Only
        // this thread runs or writes it.
        let operand = unsafe { AtomicU32::from_ptr(self.mapping.pointer().as_ptr().add(offset).cast()) };
        if operand.load(Ordering::Relaxed) == value {
            return true;
        }
        let page = offset / PAGE * PAGE;
        let pages = (page, page + PAGE);
        if !self.mapping.protect(pages, Access::Write) {
            return false;
        }
        operand.store(value, Ordering::Release);
        self.make_executable(pages);
        self.patched.push(address);
        true
    }

    /// Code that cannot be made executable again cannot be returned to. The kernel refuses only for
    /// want of memory to split a mapping, so joining all of them is tried before giving up.
    fn make_executable(&self, pages: (usize, usize)) {
        let all = (0, self.used.next_multiple_of(PAGE));
        if !self.mapping.protect(pages, Access::Execute) && !self.mapping.protect(all, Access::Execute) {
            eprintln!("forkprint: cannot make compiled toy code executable again");
            std::process::abort();
        }
    }

    /// Forgets earlier patches and starts a new page for new code.
    pub(super) fn begin_worker(&mut self) {
        self.patched.clear();
        self.used = self.used.next_multiple_of(PAGE);
    }

    /// Addresses patched since the start, or since [`Self::begin_worker`].
    pub(super) fn patched(&self) -> &[usize] {
        &self.patched
    }

    /// Bytes from the start up to the end of the last function.
    pub(super) fn used(&self) -> u64 {
        self.used as u64
    }

    pub(super) fn start(&self) -> u64 {
        self.mapping.start()
    }

    pub(super) fn end(&self) -> u64 {
        self.mapping.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_never_writable_and_executable() {
        let mut arena = CodeArena::map(1 << 16).unwrap();
        let address = arena.emit(&[0x90; 5000]).unwrap();
        assert!(arena.patch(usize::try_from(address).unwrap() + 4096, 7));
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let start = format!("{:x}-", arena.start());
        let line = maps.lines().find(|line| line.starts_with(&start)).unwrap();
        assert!(line.contains("r-xp"), "{line}");
        assert!(!maps.lines().any(|line| line.contains("wx")));
        assert_eq!(arena.patched(), [usize::try_from(address).unwrap() + 4096]);
    }

    #[test]
    fn patches_outside_of_code_and_unaligned_ones_are_refused() {
        let mut arena = CodeArena::map(1 << 16).unwrap();
        let address = usize::try_from(arena.emit(&[0; 64]).unwrap()).unwrap();
        assert!(!arena.patch(address + 1, 1));
        assert!(!arena.patch(address + 64, 1));
        assert!(!arena.patch(0, 1));
        assert!(arena.patch(address, 0), "the value is there already");
        assert!(arena.patched().is_empty());
    }

    #[test]
    fn code_that_does_not_fit_is_refused() {
        let mut arena = CodeArena::map(PAGE_SIZE).unwrap();
        assert!(arena.emit(&[0x90; 4000]).is_some());
        assert_eq!(arena.emit(&[0x90; 200]), None);
        assert!(arena.emit(&[0x90; 16]).is_some());
    }
}
