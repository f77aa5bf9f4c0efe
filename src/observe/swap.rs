//! Pages that were read back from swap: a frame anew, yet still the page that the slot holds.

use crate::family::{PageEntry, PageTable};
use crate::units::{Pfn, Vpn};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The frame belongs to the swap cache (`KPF_SWAPCACHE`, `linux/kernel-page-flags.h`).
const SWAP_CACHE: u64 = 1 << 13;

/// Puts the entries that pages had in swap back in the place of those of their copies in memory.
///
/// Whoever reads a swapped page gets the frame that the swap cache holds for the slot, which all
/// others may still get. Only a write makes a copy, and that leaves the cache. Where frame flags are
/// hidden nothing is changed.
pub fn put_back(pages: &mut PageTable, swapped: &[(Vpn, PageEntry)]) {
    let Ok(flags) = File::open("/proc/kpageflags") else { return };
    let cached = |frame: Pfn| {
        let mut word = [0; 8];
        flags.read_exact_at(&mut word, frame.0 * 8).is_ok() && u64::from_ne_bytes(word) & SWAP_CACHE != 0
    };
    for &(page, slot) in swapped {
        if let Some(entry) = pages.get_mut(page)
            && entry.pfn().is_some_and(cached)
        {
            *entry = slot;
        }
    }
}
