//! What a copy bought: bytes of a broken page against its fork-time bytes.

use super::parallel::in_parallel;
use crate::error::{Error, Result};
use crate::kernel::remote::{SharedMemory, read_exclusive_pages};
use crate::units::{PAGE_SIZE, Vpn};
use nix::errno::Errno;
use std::ops::Range;

/// Pages compared at once: 256 KiB of each process, so that both copies stay in a core's own cache.
const BATCH_PAGES: usize = 64;
/// Pages that one processor compares before it takes more.
const SHARE_PAGES: usize = 32 * BATCH_PAGES;
#[expect(clippy::cast_possible_truncation, reason = "a page has 4096 bytes")]
const PAGE: usize = PAGE_SIZE as usize;

/// Counts the bytes that differ between the fork-time pages and their copies, page by page, on all
/// processors.
///
/// `pages` ascend. `reference` holds the fork-time bytes, perhaps together with others; `owner` has
/// copies that it maps alone. Returns one count a page, or `None` where either process no longer
/// shows the page. Fails when a process cannot be read at all.
pub fn compare(pages: &[Vpn], reference: u32, owner: u32) -> Result<Vec<Option<u16>>> {
    let refused = |pid: u32, why: &dyn std::fmt::Display| {
        Error::new("cannot read the memory of a process")
            .pid(pid)
            .why(why)
            .fix("run as the same user (and with kernel.yama.ptrace_scope below 2), or as root")
    };
    let fork_time = SharedMemory::open(reference).map_err(|error| refused(reference, &error))?;
    let shares: Vec<&[Vpn]> = pages.chunks(SHARE_PAGES).collect();
    let counts = in_parallel(&shares, |share| Comparison::new(&fork_time, owner).share(share));
    let counts =
        counts.into_iter().collect::<Result<Vec<_>, Errno>>().map_err(|errno| refused(owner, &errno))?;
    Ok(counts.concat())
}

struct Comparison<'a> {
    reference: &'a SharedMemory,
    owner: u32,
    theirs: Vec<u8>,
    ours: Vec<u8>,
}

impl<'a> Comparison<'a> {
    fn new(reference: &'a SharedMemory, owner: u32) -> Self {
        Self { reference, owner, theirs: vec![0; BATCH_PAGES * PAGE], ours: vec![0; BATCH_PAGES * PAGE] }
    }

    fn share(&mut self, pages: &[Vpn]) -> Result<Vec<Option<u16>>, Errno> {
        let mut counts = Vec::with_capacity(pages.len());
        for batch in pages.chunks(BATCH_PAGES) {
            self.batch(batch, &mut counts)?;
        }
        Ok(counts)
    }

    /// Compares a batch; fails only when the owner's memory is forbidden.
    fn batch(&mut self, batch: &[Vpn], counts: &mut Vec<Option<u16>>) -> Result<(), Errno> {
        match self.read(batch) {
            Ok(()) => {
                let bytes = batch.len() * PAGE;
                let pages =
                    self.theirs[..bytes].chunks_exact(PAGE).zip(self.ours[..bytes].chunks_exact(PAGE));
                counts.extend(pages.map(|(theirs, ours)| Some(differing_bytes(theirs, ours))));
                Ok(())
            }
            Err(forbidden @ (Errno::EPERM | Errno::EACCES)) => Err(forbidden),
            // One page of the batch is gone: find it by halves.
            Err(_) if batch.len() > 1 => {
                let (first, second) = batch.split_at(batch.len() / 2);
                self.batch(first, counts)?;
                self.batch(second, counts)
            }
            Err(_) => {
                counts.push(None);
                Ok(())
            }
        }
    }

    fn read(&mut self, batch: &[Vpn]) -> Result<(), Errno> {
        let ranges = ranges_of(batch);
        let bytes = batch.len() * PAGE;
        self.reference.read_pages(&ranges, &mut self.theirs[..bytes]).map_err(|_| Errno::EFAULT)?;
        read_exclusive_pages(self.owner, &ranges, &mut self.ours[..bytes])
    }
}

/// Bytes at which two pages differ. Most of a page is equal: only lines that differ are counted.
#[expect(clippy::cast_possible_truncation, reason = "a page has 4096 bytes")]
fn differing_bytes(a: &[u8], b: &[u8]) -> u16 {
    const LINE: usize = 128;
    let lines = a.chunks(LINE).zip(b.chunks(LINE)).filter(|(a, b)| a != b);
    lines.map(|(a, b)| a.iter().zip(b).filter(|(a, b)| a != b).count() as u16).sum()
}

/// Joins ascending pages to ranges.
pub fn ranges_of(pages: &[Vpn]) -> Vec<Range<Vpn>> {
    let mut ranges: Vec<Range<Vpn>> = Vec::new();
    for &page in pages {
        match ranges.last_mut() {
            Some(last) if last.end == page => last.end.0 += 1,
            _ => ranges.push(page..Vpn(page.0 + 1)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::spawn::{freeze_sibling, kill};

    #[test]
    fn tells_ghosts_from_pages_that_differ_and_survives_a_hole() {
        let mut memory = vec![7_u8; 40 * 4096];
        let first = Vpn::of_address(memory.as_ptr() as u64 + 4095);
        let skew = usize::try_from(first.address() - memory.as_ptr() as u64).unwrap();
        let sibling = freeze_sibling().unwrap();
        memory[skew + 4096] = 8;
        memory[skew + 4097] = 9;
        memory[skew + 2 * 4096] = std::hint::black_box(7);
        let pages: Vec<_> = [Vpn(1)].into_iter().chain((0..4).map(|n| Vpn(first.0 + n))).collect();
        let counts = compare(&pages, sibling.pid, std::process::id()).unwrap();
        kill(sibling.pid);
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(sibling.pid.cast_signed()), None).unwrap();
        assert_eq!(counts, [None, Some(0), Some(2), Some(0), Some(0)]);
    }
}
