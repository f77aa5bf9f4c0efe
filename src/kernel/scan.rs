//! `PAGEMAP_SCAN` (Linux 6.7, `include/uapi/linux/fs.h`): ranges of pages of some category.

use crate::error::{Error, Result};
use crate::family::PageRanges;
use crate::units::{PAGE_SIZE, Vpn};
use nix::errno::Errno;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A set of `PAGE_IS_*` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Category(u64);

impl Category {
    /// Written since it was write-protected in a `WP_ASYNC` registration.
    pub const WRITTEN: Self = Self(1 << 1);
    /// In memory.
    const PRESENT: Self = Self(1 << 3);
    /// In memory or in swap.
    pub const POPULATED: Self = Self((1 << 3) | (1 << 4));
    /// The shared page of zeros.
    pub const ZERO: Self = Self(1 << 5);
    /// Mapped by a huge (PMD) entry.
    pub const HUGE: Self = Self(1 << 6);
}

/// Write-protect the pages that match, while scanning.
const PM_SCAN_WP_MATCHING: u64 = 1;

#[repr(C)]
#[derive(Default)]
struct ScanArgs {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PageRegion {
    start: u64,
    end: u64,
    categories: u64,
}

/// The raw call.
mod raw {
    nix::ioctl_readwrite!(pagemap_scan, b'f', 16, super::ScanArgs);
}

/// Ranges the kernel fills in one call: as many as its own buffer holds (`PAGEMAP_WALK_SIZE`).
///
/// Given more room it refills that buffer, and then answers the `walk_end` of the refill although
/// it went on to the end (`do_pagemap_scan`: "`walk_end` isn't set when ret is zero").
const REGIONS_PER_CALL: usize = 512;

/// Appends the pages of `range` that are in any of the categories, in address order.
///
/// Written pages are asked for alone: mixed with other categories some kernels misreport them.
pub fn scan(
    pagemap: BorrowedFd<'_>,
    range: &Range<Vpn>,
    category: Category,
    found: &mut PageRanges,
) -> Result<()> {
    let (mask, any_of) = if category == Category::WRITTEN { (category.0, 0) } else { (0, category.0) };
    let wanted = ScanArgs {
        category_mask: mask,
        category_anyof_mask: any_of,
        return_mask: category.0,
        ..ScanArgs::default()
    };
    walk(pagemap, range, wanted, |pages, _| push(found, pages))
}

/// Appends the populated pages of `range` to `populated`, and those of them that map the page of
/// zeros to `zeros` as well.
///
/// Asks for the holes: the kernel tells ranges of pages that match one page at a time, which on a
/// full area takes twice as long as finding that none does.
pub fn scan_populated(
    pagemap: BorrowedFd<'_>,
    range: &Range<Vpn>,
    populated: &mut PageRanges,
    zeros: &mut PageRanges,
) -> Result<()> {
    let absent_or_zero = ScanArgs {
        category_inverted: Category::PRESENT.0,
        category_anyof_mask: Category::PRESENT.0 | Category::ZERO.0,
        return_mask: Category::POPULATED.0 | Category::ZERO.0,
        ..ScanArgs::default()
    };
    let mut filled = range.start;
    walk(pagemap, range, absent_or_zero, |pages, categories| {
        if categories & Category::ZERO.0 != 0 {
            push(zeros, pages);
        } else if categories & Category::POPULATED.0 == 0 {
            if filled < pages.start {
                push(populated, filled..pages.start);
            }
            filled = pages.end;
        }
    })?;
    if filled < range.end {
        push(populated, filled..range.end);
    }
    Ok(())
}

/// Calls `each` with the ranges of the pages whose categories `args` asks for, and with the categories
/// it wants told.
fn walk(
    pagemap: BorrowedFd<'_>,
    range: &Range<Vpn>,
    mut args: ScanArgs,
    mut each: impl FnMut(Range<Vpn>, u64),
) -> Result<()> {
    let mut regions = [PageRegion::default(); REGIONS_PER_CALL];
    let end = range.end.address();
    args.size = size_of::<ScanArgs>() as u64;
    (args.start, args.end) = (range.start.address(), end);
    (args.vec, args.vec_len) = (regions.as_mut_ptr() as u64, REGIONS_PER_CALL as u64);
    while args.start < end {
        // SAFETY: `args` points at `regions` with its true length; both outlive the call.
        let filled = unsafe { raw::pagemap_scan(pagemap.as_raw_fd(), &raw mut args) }
            .map_err(|errno| refused(errno, range))?;
        for region in &regions[..usize::try_from(filled).unwrap_or(0)] {
            each(Vpn(region.start / PAGE_SIZE)..Vpn(region.end / PAGE_SIZE), region.categories);
        }
        if args.walk_end <= args.start {
            break;
        }
        args.start = args.walk_end;
    }
    Ok(())
}

/// Write-protects the populated pages of `range` of the calling process, to track later writes.
///
/// Absent pages are left alone: protecting them would fill the page tables with markers, which page
/// maps show like swapped pages. (Without an output vector the kernel ignores the categories and
/// protects all, `pagemap_scan_pmd_entry` in `fs/proc/task_mmu.c`.) The range must be registered
/// with a `WP_ASYNC` userfaultfd. Allocates nothing, and uses little of the stack.
pub fn protect(own_pagemap: BorrowedFd<'_>, range: &Range<Vpn>) -> Result<(), Errno> {
    let mut regions = [PageRegion::default(); 16];
    let mut start = range.start.address();
    let end = range.end.address();
    while start < end {
        let mut args = ScanArgs {
            size: size_of::<ScanArgs>() as u64,
            flags: PM_SCAN_WP_MATCHING,
            start,
            end,
            vec: regions.as_mut_ptr() as u64,
            vec_len: regions.len() as u64,
            category_mask: Category::WRITTEN.0,
            category_anyof_mask: Category::POPULATED.0,
            return_mask: Category::WRITTEN.0,
            ..ScanArgs::default()
        };
        // SAFETY: `args` points at `regions` with its true length; both outlive the call.
        unsafe { raw::pagemap_scan(own_pagemap.as_raw_fd(), &raw mut args) }?;
        if args.walk_end <= start {
            return Err(Errno::EIO);
        }
        start = args.walk_end;
    }
    Ok(())
}

fn refused(errno: Errno, range: &Range<Vpn>) -> Error {
    let error =
        Error::new("PAGEMAP_SCAN was refused").location(format!("{}-{}", range.start, range.end)).why(errno);
    if errno == Errno::ENOTTY {
        error.fix("use Linux 6.7 or later, or a rung that does without")
    } else {
        error
    }
}

fn push(ranges: &mut PageRanges, next: Range<Vpn>) {
    match ranges.last_mut() {
        Some(last) if last.end == next.start => last.end = next.end,
        _ => ranges.push(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::pagemap::Pagemap;
    use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
    use std::num::NonZeroUsize;
    use std::os::fd::AsFd;
    use std::path::Path;

    #[test]
    fn finds_exactly_the_populated_pages_of_a_sparse_mapping() {
        for pages in [64, 1_400, 5_000] {
            check_every_other_page(pages);
        }
    }

    fn check_every_other_page(pages: usize) {
        let size = NonZeroUsize::new(pages * 4096).unwrap();
        // SAFETY: a new private mapping, used only through the pointer below and never unmapped.
        let memory = unsafe {
            mmap_anonymous(None, size, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE)
        }
        .unwrap();
        let first = Vpn::of_address(memory.as_ptr() as u64);
        for page in (0..pages).step_by(2) {
            // SAFETY: inside the mapping just made.
            unsafe { memory.as_ptr().cast::<u8>().add(page * 4096).write_volatile(1) };
        }
        let map = Pagemap::open(Path::new("/proc"), std::process::id()).unwrap();
        let mut found = Vec::new();
        if let Err(error) =
            scan(map.as_fd(), &(first..Vpn(first.0 + pages as u64)), Category::POPULATED, &mut found)
        {
            eprintln!("skipped: {error}");
            return;
        }
        assert_eq!(crate::family::range_pages(&found), pages as u64 / 2);
        assert_eq!(found[1], Vpn(first.0 + 2)..Vpn(first.0 + 3));

        // SAFETY: inside the mapping just made.
        assert_eq!(unsafe { memory.as_ptr().cast::<u8>().add(3 * 4096).read_volatile() }, 0);
        let (mut populated, mut zeros) = (Vec::new(), Vec::new());
        let whole = first..Vpn(first.0 + pages as u64);
        scan_populated(map.as_fd(), &whole, &mut populated, &mut zeros).unwrap();
        assert_eq!(zeros, [Vpn(first.0 + 3)..Vpn(first.0 + 4)]);
        assert_eq!(crate::family::range_pages(&populated), pages as u64 / 2 + 1);
        assert_eq!(populated[1], Vpn(first.0 + 2)..Vpn(first.0 + 5));
    }
}
