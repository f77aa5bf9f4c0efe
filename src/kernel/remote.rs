//! Memory of other processes, read without disturbing what they share.
//!
//! `process_vm_readv` pins the pages it reads, and since Linux 6.0 pinning an anonymous page that is
//! shared copy-on-write *un-shares* it first (`gup_must_unshare`, `mm/gup.c`): reading would break
//! the very sharing we measure. `/proc/PID/mem` reads without a pin. So copies that a process owns
//! alone are read in bulk with [`read_exclusive_pages`], all else through [`SharedMemory`].

use crate::units::{PAGE_SIZE, Vpn};
use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// `process_vm_readv` accepts so many ranges at once (`UIO_MAXIOV`).
const MAX_RANGES: usize = 1024;

/// Reads whole page ranges of a process into `buffer`, one after the other.
///
/// Only for pages that the process maps alone: shared ones would be un-shared. `buffer` must hold
/// exactly the pages of `ranges`. On error nothing may be assumed of it: the process is gone, a
/// range is not mapped, or we may not read it (`PTRACE_MODE_ATTACH`).
pub fn read_exclusive_pages(pid: u32, ranges: &[Range<Vpn>], buffer: &mut [u8]) -> Result<(), Errno> {
    let mut rest = buffer;
    for chunk in ranges.chunks(MAX_RANGES) {
        let remote: Vec<RemoteIoVec> = chunk.iter().map(remote_range).collect();
        let bytes: usize = remote.iter().map(|range| range.len).sum();
        let (part, tail) = rest.split_at_mut_checked(bytes).ok_or(Errno::EINVAL)?;
        let read = process_vm_readv(process(pid)?, &mut [IoSliceMut::new(part)], &remote)?;
        if read != bytes {
            return Err(Errno::EFAULT);
        }
        rest = tail;
    }
    Ok(())
}

/// The memory of a process, readable without a change to how its pages are shared.
#[derive(Debug)]
pub struct SharedMemory {
    file: File,
}

impl SharedMemory {
    /// Opens `/proc/PID/mem` for reading (`PTRACE_MODE_ATTACH`).
    pub fn open(pid: u32) -> io::Result<Self> {
        File::open(format!("/proc/{pid}/mem")).map(|file| Self { file })
    }

    /// Reads whole page ranges into `buffer`, one after the other.
    pub fn read_pages(&self, ranges: &[Range<Vpn>], buffer: &mut [u8]) -> io::Result<()> {
        let mut rest = buffer;
        for range in ranges {
            let (part, tail) =
                rest.split_at_mut_checked(remote_range(range).len).ok_or(io::ErrorKind::InvalidInput)?;
            self.read_bytes(range.start.address(), part)?;
            rest = tail;
        }
        Ok(())
    }

    /// Reads `buffer.len()` bytes at an address.
    pub fn read_bytes(&self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, address)
    }
}

fn process(pid: u32) -> Result<Pid, Errno> {
    i32::try_from(pid).map(Pid::from_raw).map_err(|_| Errno::ESRCH)
}

#[expect(clippy::cast_possible_truncation, reason = "addresses fit a usize on 64-bit Linux")]
fn remote_range(range: &Range<Vpn>) -> RemoteIoVec {
    RemoteIoVec {
        base: range.start.address() as usize,
        len: ((range.end.0 - range.start.0) * PAGE_SIZE) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_several_ranges_in_order() {
        let memory: Vec<u8> = (0..16_u8).flat_map(|page| [page; 4096]).collect();
        let first = Vpn::of_address(memory.as_ptr() as u64 + 4095).0;
        let skew = usize::try_from(Vpn(first).address() - memory.as_ptr() as u64).unwrap();
        let mut buffer = vec![0; 3 * 4096];
        read_exclusive_pages(
            std::process::id(),
            &[Vpn(first + 9)..Vpn(first + 10), Vpn(first)..Vpn(first + 2)],
            &mut buffer,
        )
        .unwrap();
        assert_eq!(buffer[..4096], memory[skew + 9 * 4096..skew + 10 * 4096]);
        assert_eq!(buffer[4096..], memory[skew..skew + 2 * 4096]);
    }

    #[test]
    fn an_unmapped_range_is_an_error() {
        assert!(read_exclusive_pages(std::process::id(), &[Vpn(0)..Vpn(1)], &mut [0; 4096]).is_err());
    }

    /// Where a page of a process lies, as far as we may see.
    fn entry(pid: u32, page: Vpn) -> crate::family::PageEntry {
        let map = crate::kernel::pagemap::Pagemap::open(std::path::Path::new("/proc"), pid).unwrap();
        let mut entries = Vec::new();
        map.read_into(page, 1, &mut entries).unwrap();
        entries[0]
    }

    #[test]
    fn reading_a_shared_page_leaves_it_shared() {
        let memory = vec![7_u8; 3 * 4096];
        let page = Vpn::of_address(memory.as_ptr() as u64 + 4096);
        let sibling = crate::kernel::spawn::freeze_sibling().unwrap();
        let mut buffer = vec![0; 4096];
        SharedMemory::open(sibling.pid).unwrap().read_pages(&[page..Vpn(page.0 + 1)], &mut buffer).unwrap();
        let (own, frozen) = (entry(std::process::id(), page), entry(sibling.pid, page));
        crate::kernel::spawn::kill(sibling.pid);
        nix::sys::wait::waitpid(Pid::from_raw(sibling.pid.cast_signed()), None).unwrap();
        assert_eq!(buffer, memory[4096..8192]);
        assert!(!own.exclusive() && !frozen.exclusive(), "still mapped by both");
        assert_eq!(own.pfn(), frozen.pfn());
    }
}
