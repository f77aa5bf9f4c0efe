//! One pagemap entry, bit by bit (`Documentation/admin-guide/mm/pagemap.rst`, `fs/proc/task_mmu.c`).

use crate::units::Pfn;

/// The page is in memory.
const PM_PRESENT: u64 = 1 << 63;
/// The page is in swap.
const PM_SWAP: u64 = 1 << 62;
/// The page belongs to a file or to shared anonymous memory.
const PM_FILE: u64 = 1 << 61;
/// The page is mapped by this process only (`PM_MMAP_EXCLUSIVE`).
const PM_MMAP_EXCLUSIVE: u64 = 1 << 56;
/// Write-protected by userfaultfd.
const PM_UFFD_WP: u64 = 1 << 57;
/// A guard region (`MADV_GUARD_INSTALL`, Linux 6.15).
const PM_GUARD_REGION: u64 = 1 << 58;
/// The swap type of page table markers: the last of the 32 (`SWP_PTE_MARKER`, `linux/swap.h`).
const MARKER_TYPE: u64 = 31;
/// Bits 0 to 54: the PFN, or the swap type and offset.
const PM_PFRAME_MASK: u64 = (1 << 55) - 1;

/// What `/proc/PID/pagemap` says of one page, unchanged: bits this version does not know survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct PageEntry(pub u64);

impl PageEntry {
    /// In memory.
    pub const fn present(self) -> bool {
        self.0 & PM_PRESENT != 0
    }

    /// In swap.
    pub const fn swapped(self) -> bool {
        self.0 & PM_SWAP != 0
    }

    /// Backed by a file or by shared anonymous memory: not (yet) a private copy.
    pub const fn file_backed(self) -> bool {
        self.0 & PM_FILE != 0
    }

    /// Mapped by no other process. One-sided for large folios (Linux 6.16 and later).
    pub const fn exclusive(self) -> bool {
        self.0 & PM_MMAP_EXCLUSIVE != 0
    }

    /// Bytes that only this address space can change: present or swapped, and not a file's.
    pub const fn private(self) -> bool {
        self.0 & (PM_PRESENT | PM_SWAP) != 0 && !self.file_backed()
    }

    /// Shown like a swapped page, but only a note in the page table that nothing is there: a guard
    /// region, or a page given up while userfaultfd protected it.
    ///
    /// `None` when that cannot be told, because swap slots are hidden from ordinary users.
    pub const fn marker(self) -> Option<bool> {
        let slot = self.0 & PM_PFRAME_MASK;
        match self.0 & (PM_GUARD_REGION | PM_UFFD_WP) {
            _ if !self.swapped() => Some(false),
            0 => Some(false),
            PM_UFFD_WP if slot == 0 => None,
            PM_UFFD_WP => Some(slot & MARKER_TYPE == MARKER_TYPE),
            _ => Some(true),
        }
    }

    /// The frame, when the page is in memory and the kernel lets us see it.
    pub const fn pfn(self) -> Option<Pfn> {
        let pfn = self.0 & PM_PFRAME_MASK;
        if self.present() && pfn != 0 { Some(Pfn(pfn)) } else { None }
    }

    /// Where the bytes live, as far as the kernel tells: a frame or a swap slot.
    ///
    /// Two processes that show the same place share those bytes. `None` when hidden or absent.
    pub const fn place(self) -> Option<u64> {
        let place = self.0 & (PM_PFRAME_MASK | PM_PRESENT | PM_SWAP);
        if place & PM_PFRAME_MASK == 0 { None } else { Some(place) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn anon(pfn: u64) -> PageEntry {
        PageEntry(PM_PRESENT | pfn)
    }

    pub(crate) fn exclusive(pfn: u64) -> PageEntry {
        PageEntry(PM_PRESENT | PM_MMAP_EXCLUSIVE | pfn)
    }

    pub(crate) fn file(pfn: u64) -> PageEntry {
        PageEntry(PM_PRESENT | PM_FILE | pfn)
    }

    pub(crate) fn swap(slot: u64) -> PageEntry {
        PageEntry(PM_SWAP | slot)
    }

    #[test]
    fn private_is_anonymous_memory_or_its_swap_slot() {
        assert!(anon(7).private() && swap(9).private());
        assert!(!file(7).private() && !PageEntry(0).private());
    }

    #[test]
    fn markers_are_told_from_swapped_pages_where_slots_are_visible() {
        let protected = |slot: u64| PageEntry(PM_SWAP | PM_UFFD_WP | slot);
        assert_eq!(protected(MARKER_TYPE | 1 << 5).marker(), Some(true));
        assert_eq!(protected(7 << 5).marker(), Some(false));
        assert_eq!(protected(0).marker(), None, "hidden from ordinary users");
        assert_eq!(PageEntry(PM_SWAP | PM_GUARD_REGION).marker(), Some(true));
        assert_eq!((swap(MARKER_TYPE).marker(), anon(31).marker()), (Some(false), Some(false)));
    }

    #[test]
    fn a_frame_and_a_swap_slot_of_the_same_number_are_different_places() {
        assert_ne!(anon(7).place(), swap(7).place());
        assert_eq!(anon(7).place(), exclusive(7).place());
        assert_eq!(anon(0).place(), None, "hidden from ordinary users");
    }
}
