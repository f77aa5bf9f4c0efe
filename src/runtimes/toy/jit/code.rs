//! The code cache: memory for compiled code, private, and never writable and executable at once.
#![allow(unsafe_code, reason = "writes compiled code")]

use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::memory::mapping::{Access, Mapping, Sharing};
use crate::units::PAGE_SIZE;
use std::sync::atomic::{AtomicU32, Ordering};

/// Functions begin at multiples of this.
const FUNCTION_ALIGNMENT: usize = 16;
#[expect(clippy::cast_possible_truncation, reason = "4096")]
const PAGE: usize = PAGE_SIZE as usize;

/// One half of the arena, which code fills from its start. All in bytes from the arena's start.
struct Half {
    first: usize,
    used: usize,
    end: usize,
}

impl Half {
    const fn new(first: usize, end: usize) -> Self {
        Self { first, used: first, end }
    }

    /// Where the next code will begin.
    const fn next(&self) -> usize {
        self.used.next_multiple_of(FUNCTION_ALIGNMENT)
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.next().checked_add(bytes).is_some_and(|end| end <= self.end)
    }

    const fn holds(&self, offset: usize) -> bool {
        self.first <= offset && offset + 4 <= self.used
    }
}

/// One private anonymous mapping of two halves: hot code, which runs when guesses hold, and cold
/// code, which runs when they do not.
///
/// Pages that hold code are readable and executable. To write, exactly the pages concerned become
/// writable instead of executable and change back at once. The memory is not shared: a patch made
/// in a worker breaks the page that the worker inherited, and the zygote does not see it.
pub(super) struct CodeArena {
    mapping: Mapping,
    hot: Half,
    cold: Half,
    patched: Vec<usize>,
}

impl CodeArena {
    pub(super) fn map(bytes: u64) -> Result<Self> {
        let mapping = Mapping::new(bytes, Access::Closed, Sharing::Private, "compiled code")?;
        let middle = (mapping.size() / 2).next_multiple_of(PAGE);
        let (hot, cold) = (Half::new(0, middle), Half::new(middle, mapping.size()));
        Ok(Self { mapping, hot, cold, patched: Vec::new() })
    }

    /// Where the hot and the cold code of the next function will begin, if there is any room.
    pub(super) fn next_addresses(&self) -> (usize, usize) {
        let start = self.mapping.pointer().as_ptr().addr();
        (start + self.hot.next(), start + self.cold.next())
    }

    /// Puts code at [`Self::next_addresses`]; answers where the hot code begins. Nothing when there is
    /// no room, or the system refuses.
    pub(super) fn emit(&mut self, hot: &[u8], cold: &[u8]) -> Option<u64> {
        if !self.hot.has_room(hot.len()) || !self.cold.has_room(cold.len()) {
            return None;
        }
        let offset = self.hot.next();
        self.hot.used = self.write(offset, hot)?;
        if !cold.is_empty() {
            self.cold.used = self.write(self.cold.next(), cold)?;
        }
        Some(self.mapping.start() + offset as u64)
    }

    /// Writes into free room; answers where the code ends.
    fn write(&self, offset: usize, code: &[u8]) -> Option<usize> {
        let end = offset + code.len();
        let pages = (offset / PAGE * PAGE, end.next_multiple_of(PAGE));
        if !self.protect(pages, Access::Write) {
            return None;
        }
        // SAFETY: the target lies inside the mapping, its pages are writable now, and no code of
        // this arena runs while the arena is borrowed uniquely: callers are below the machine.
        unsafe {
            let target = self.mapping.pointer().as_ptr().add(offset);
            std::ptr::copy_nonoverlapping(code.as_ptr(), target, code.len());
        }
        self.make_executable(pages);
        Some(end)
    }

    /// Stores an aligned 4-byte operand inside existing code; false if that cannot be done.
    ///
    /// An operand that is there already is left alone, and its page with it.
    pub(super) fn patch(&mut self, address: usize, value: u32) -> bool {
        let Some(operand) = self.operand(address) else { return false };
        if operand.load(Ordering::Relaxed) == value {
            return true;
        }
        let offset = address - self.mapping.pointer().as_ptr().addr();
        let page = offset / PAGE * PAGE;
        let pages = (page, page + PAGE);
        if !self.protect(pages, Access::Write) {
            return false;
        }
        operand.store(value, Ordering::Release);
        self.make_executable(pages);
        self.patched.push(address);
        true
    }

    /// An aligned 4-byte operand inside existing code.
    pub(super) fn read(&self, address: usize) -> Option<u32> {
        self.operand(address).map(|operand| operand.load(Ordering::Relaxed))
    }

    fn operand<'a>(&self, address: usize) -> Option<&'a AtomicU32> {
        let offset = address.checked_sub(self.mapping.pointer().as_ptr().addr())?;
        if !offset.is_multiple_of(4) || !(self.hot.holds(offset) || self.cold.holds(offset)) {
            return None;
        }
        // SAFETY: the operand is aligned and inside of written code, which is always readable. Only
        // this thread runs or writes it, and no caller keeps the reference.
        Some(unsafe { AtomicU32::from_ptr(self.mapping.pointer().as_ptr().add(offset).cast()) })
    }

    fn protect(&self, pages: (usize, usize), access: Access) -> bool {
        let done = self.mapping.protect(pages, access);
        #[cfg(all(test, target_arch = "x86_64"))]
        super::tests::observe(self.mapping.start(), self.mapping.end());
        done
    }

    /// Code that cannot be made executable again cannot be returned to. The kernel refuses only for
    /// want of memory to split a mapping, so joining all of a half is tried before giving up.
    fn make_executable(&self, pages: (usize, usize)) {
        let half = if pages.0 < self.hot.end { &self.hot } else { &self.cold };
        let all = (half.first, half.used.next_multiple_of(PAGE).max(pages.1));
        if !self.protect(pages, Access::Execute) && !self.protect(all, Access::Execute) {
            eprintln!("forkprint: cannot make compiled toy code executable again");
            std::process::abort();
        }
    }

    /// Forgets earlier patches and starts new pages for new code.
    pub(super) fn begin_worker(&mut self) {
        self.patched.clear();
        for half in [&mut self.hot, &mut self.cold] {
            half.used = half.used.next_multiple_of(PAGE);
        }
    }

    /// Addresses patched since the start, or since [`Self::begin_worker`].
    pub(super) fn patched(&self) -> &[usize] {
        &self.patched
    }

    /// Bytes of hot and of cold code, padding included.
    pub(super) const fn used(&self) -> (u64, u64) {
        ((self.hot.used - self.hot.first) as u64, (self.cold.used - self.cold.first) as u64)
    }

    pub(super) fn regions(&self) -> [Region; 2] {
        let start = self.mapping.start();
        [(&self.hot, "hot code"), (&self.cold, "cold code")].map(|(half, name)| Region {
            start: start + half.first as u64,
            end: start + half.end as u64,
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let inside = |line: &&str| {
            let (range, _) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let bound = |text| usize::from_str_radix(text, 16).unwrap();
            (bound(start)..bound(end)).contains(&address)
        };
        let line = maps.lines().find(inside).unwrap();
        line.split(' ').nth(1).unwrap().to_owned()
    }

    #[test]
    fn code_is_never_writable_and_executable() {
        let mut arena = CodeArena::map(1 << 16).unwrap();
        let (hot, cold) = arena.next_addresses();
        assert_eq!(arena.emit(&[0x90; 5000], &[0xcc; 100]), Some(hot as u64));
        for operand in [hot + 4096, cold + 96] {
            assert!(arena.patch(operand, 7));
            assert_eq!(arena.read(operand), Some(7));
            assert_eq!(rights(operand), "r-xp");
        }
        assert_eq!(rights(hot + 8192), "---p");
        assert_eq!(arena.patched(), [hot + 4096, cold + 96]);
    }

    #[test]
    fn hot_and_cold_code_share_no_page() {
        let mut arena = CodeArena::map(1 << 16).unwrap();
        let [hot, cold] = arena.regions();
        assert_eq!((hot.end, hot.end - hot.start, cold.end - cold.start), (cold.start, 1 << 15, 1 << 15));
        for _ in 0..3 {
            let (next_hot, next_cold) = arena.next_addresses();
            assert!((hot.start..hot.end).contains(&(next_hot as u64)) && next_hot.is_multiple_of(16));
            assert!((cold.start..cold.end).contains(&(next_cold as u64)) && next_cold.is_multiple_of(16));
            arena.emit(&[0x90; 33], &[0xcc; 7]).unwrap();
        }
        assert_eq!(arena.used(), (2 * 48 + 33, 2 * 16 + 7));
        arena.begin_worker();
        let (next_hot, next_cold) = arena.next_addresses();
        assert_eq!((next_hot as u64, next_cold as u64), (hot.start + 4096, cold.start + 4096));
    }

    #[test]
    fn patches_outside_of_code_and_unaligned_ones_are_refused() {
        let mut arena = CodeArena::map(1 << 16).unwrap();
        let address = usize::try_from(arena.emit(&[0; 64], &[]).unwrap()).unwrap();
        assert!(!arena.patch(address + 1, 1));
        assert!(!arena.patch(address + 64, 1));
        assert!(!arena.patch(arena.next_addresses().1, 1));
        assert!(!arena.patch(0, 1));
        assert!(arena.patch(address, 0), "the value is there already");
        assert!(arena.patched().is_empty());
    }

    #[test]
    fn code_that_does_not_fit_is_refused() {
        let mut arena = CodeArena::map(2 * PAGE_SIZE).unwrap();
        assert!(arena.emit(&[0x90; 4000], &[]).is_some());
        assert_eq!(arena.emit(&[0x90; 200], &[]), None);
        assert_eq!(arena.emit(&[0x90; 16], &[0x90; 5000]), None);
        assert!(arena.emit(&[0x90; 16], &[0x90; 4096]).is_some());
    }
}
