//! Memory of other processes, by `process_vm_readv`.

use crate::units::{PAGE_SIZE, Vpn};
use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use std::io::IoSliceMut;
use std::ops::Range;

/// `process_vm_readv` accepts so many ranges at once (`UIO_MAXIOV`).
const MAX_RANGES: usize = 1024;

/// Reads whole page ranges of a process into `buffer`, one after the other.
///
/// `buffer` must hold exactly the pages of `ranges`. On error nothing may be assumed of it: the
/// process is gone, a range is not mapped, or we may not read it (`PTRACE_MODE_ATTACH`).
pub fn read_pages(pid: u32, ranges: &[Range<Vpn>], buffer: &mut [u8]) -> Result<(), Errno> {
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

/// Reads `buffer.len()` bytes at an address of a process.
pub fn read_bytes(pid: u32, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
    let len = buffer.len();
    let remote = RemoteIoVec { base: usize::try_from(address).map_err(|_| Errno::EFAULT)?, len };
    let read = process_vm_readv(process(pid)?, &mut [IoSliceMut::new(buffer)], &[remote])?;
    if read == len { Ok(()) } else { Err(Errno::EFAULT) }
}

fn process(pid: u32) -> Result<Pid, Errno> {
    i32::try_from(pid).map(Pid::from_raw).map_err(|_| Errno::ESRCH)
}

#[expect(clippy::cast_possible_truncation, reason = "addresses fit a usize on 64-bit Linux")]
fn remote_range(range: &Range<Vpn>) -> RemoteIoVec {
    RemoteIoVec { base: range.start.address() as usize, len: ((range.end.0 - range.start.0) * PAGE_SIZE) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_several_ranges_in_order() {
        let memory: Vec<u8> = (0..16 * 4096_u32).map(|i| (i / 4096) as u8).collect();
        let first = Vpn::of_address(memory.as_ptr() as u64 + 4095).0;
        let skew = usize::try_from(Vpn(first).address() - memory.as_ptr() as u64).unwrap();
        let mut buffer = vec![0; 3 * 4096];
        read_pages(std::process::id(), &[Vpn(first + 9)..Vpn(first + 10), Vpn(first)..Vpn(first + 2)], &mut buffer).unwrap();
        assert_eq!(buffer[..4096], memory[skew + 9 * 4096..skew + 10 * 4096]);
        assert_eq!(buffer[4096..], memory[skew..skew + 2 * 4096]);
    }

    #[test]
    fn an_unmapped_range_is_an_error() {
        assert!(read_pages(std::process::id(), &[Vpn(0)..Vpn(1)], &mut [0; 4096]).is_err());
    }
}
