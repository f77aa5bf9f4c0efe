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

/// How the owner of copies maps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapped {
    /// By itself: the fast way of reading is harmless.
    Alone,
    /// Perhaps with others, forked since it wrote: the fast way would un-share them.
    Together,
}

/// Counts the bytes that differ between the fork-time pages and their copies, page by page, on all
/// processors.
///
/// `pages` ascend. `reference` holds the fork-time bytes, perhaps together with others; `owner` has
/// the copies, `mapped` as told. Returns one count a page, or `None` where either process no longer
/// shows the page. Fails when a process cannot be read at all.
pub fn compare(pages: &[Vpn], reference: u32, owner: u32, mapped: Mapped) -> Result<Vec<Option<u16>>> {
    let refused = |pid: u32, why: &dyn std::fmt::Display| {
        Error::new("cannot read the memory of a process")
            .pid(pid)
            .why(why)
            .fix("run as the same user (and with kernel.yama.ptrace_scope below 2), or as root")
    };
    if pages.is_empty() {
        return Ok(Vec::new());
    }
    let open = |pid: u32| SharedMemory::open(pid).map_err(|error| refused(pid, &error));
    let fork_time = open(reference)?;
    let copies = match mapped {
        Mapped::Alone => Copies::Alone(owner),
        Mapped::Together => Copies::Together(open(owner)?),
    };
    let shares: Vec<&[Vpn]> = pages.chunks(SHARE_PAGES).collect();
    let counts = in_parallel(&shares, |share| Comparison::new(&fork_time, &copies).share(share));
    let counts =
        counts.into_iter().collect::<Result<Vec<_>, Errno>>().map_err(|errno| refused(owner, &errno))?;
    Ok(counts.concat())
}

/// The owner's memory, by the way of reading it.
enum Copies {
    Alone(u32),
    Together(SharedMemory),
}

struct Comparison<'a> {
    reference: &'a SharedMemory,
    copies: &'a Copies,
    theirs: Vec<u8>,
    ours: Vec<u8>,
}

impl<'a> Comparison<'a> {
    fn new(reference: &'a SharedMemory, copies: &'a Copies) -> Self {
        Self { reference, copies, theirs: vec![0; BATCH_PAGES * PAGE], ours: vec![0; BATCH_PAGES * PAGE] }
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
        let ours = &mut self.ours[..bytes];
        match self.copies {
            Copies::Alone(owner) => read_exclusive_pages(*owner, &ranges, ours),
            Copies::Together(memory) => memory.read_pages(&ranges, ours).map_err(|_| Errno::EFAULT),
        }
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
        let compare = |mapped| compare(&pages, sibling.pid, std::process::id(), mapped).unwrap();
        let (alone, together) = (compare(Mapped::Alone), compare(Mapped::Together));
        kill(sibling.pid);
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(sibling.pid.cast_signed()), None).unwrap();
        assert_eq!(alone, [None, Some(0), Some(2), Some(0), Some(0)]);
        assert_eq!(together, alone);
    }
}
