//! What a copy bought: bytes of a broken page against its fork-time bytes.

use crate::error::{Error, Result};
use crate::kernel::remote::read_pages;
use crate::units::{PAGE_SIZE, Vpn};
use std::ops::Range;

/// Pages compared at once: 1 MiB of each process, so that both stay in the cache.
const BATCH_PAGES: usize = 256;
const PAGE: usize = PAGE_SIZE as usize;

/// Counts the bytes that differ between two processes, page by page.
///
/// `pages` ascend. Returns one count a page, or `None` where either process no longer shows the
/// page. Fails when a process cannot be read at all.
pub fn compare(pages: &[Vpn], reference: u32, process: u32) -> Result<Vec<Option<u16>>> {
    let mut counts = Vec::with_capacity(pages.len());
    let mut buffers = (vec![0; BATCH_PAGES * PAGE], vec![0; BATCH_PAGES * PAGE]);
    for batch in pages.chunks(BATCH_PAGES) {
        compare_batch(batch, reference, process, &mut buffers, &mut counts)?;
    }
    Ok(counts)
}

fn compare_batch(
    batch: &[Vpn],
    reference: u32,
    process: u32,
    (theirs, ours): &mut (Vec<u8>, Vec<u8>),
    counts: &mut Vec<Option<u16>>,
) -> Result<()> {
    let ranges = ranges_of(batch);
    let bytes = batch.len() * PAGE;
    let (theirs, ours) = (&mut theirs[..bytes], &mut ours[..bytes]);
    match read_pages(reference, &ranges, theirs).and_then(|()| read_pages(process, &ranges, ours)) {
        Ok(()) => counts.extend(theirs.chunks_exact(PAGE).zip(ours.chunks_exact(PAGE)).map(|(a, b)| Some(differing_bytes(a, b)))),
        Err(nix::errno::Errno::EPERM | nix::errno::Errno::EACCES) => {
            return Err(Error::new("cannot read the memory of a worker")
                .pid(process)
                .why("process_vm_readv is not permitted")
                .fix("run as the same user (and with kernel.yama.ptrace_scope below 2), or as root"));
        }
        Err(_) if batch.len() > 1 => {
            // One page of the batch is gone: find it by halves.
            let (first, second) = batch.split_at(batch.len() / 2);
            let mut halves = (vec![0; bytes], vec![0; bytes]);
            compare_batch(first, reference, process, &mut halves, counts)?;
            compare_batch(second, reference, process, &mut halves, counts)?;
        }
        Err(_) => counts.push(None),
    }
    Ok(())
}

/// Bytes at which two pages differ.
#[expect(clippy::cast_possible_truncation, reason = "a page has 4096 bytes")]
fn differing_bytes(a: &[u8], b: &[u8]) -> u16 {
    if a == b { 0 } else { a.iter().zip(b).filter(|(a, b)| a != b).count() as u16 }
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
