//! Opening the events that watch a process: one for each of its threads and each processor, one ring
//! for each processor.
//!
//! An inherited event can have a ring only when it is bound to a processor, and it covers only the
//! threads and processes that its thread makes later.

use super::abi::{self, Attr, flag};
use super::event::page_faults;
use super::refusal::{Refusal, Request, Surroundings};
use super::ring::{Access, PAGE, Ring};
use crate::error::{Error, Result};
use crate::kernel::stop::StandStill;
use nix::errno::Errno;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};

/// Pages of data in a ring where nothing forbids them: room for 52,000 faults.
pub const MOST_PAGES: usize = 512;
/// Bytes that the rings of all processors may take together.
const MOST_BYTES: usize = 64 << 20;

/// The open events on a process and on all that it makes.
#[derive(Debug)]
pub struct Attached {
    /// One for each processor; each belongs to the event of the first thread.
    pub rings: Vec<Ring>,
    /// The events of the other threads, which write to the same rings.
    others: Vec<OwnedFd>,
    /// Faults of the kernel on behalf of the process are seen too.
    pub kernel_included: bool,
}

impl Attached {
    /// Watches a process with rings of at most `pages` pages.
    ///
    /// Threads that come while this is opening would be missed or seen twice. When some did, the
    /// process is stopped for a moment and opened anew.
    pub fn to_process(pid: u32, pages: usize) -> Result<Self> {
        let attach = || -> Result<Option<Self>> {
            let threads = threads_of(pid)?;
            let attached = Self::to_threads(&threads, pages).map_err(|refusal| refusal.error(pid))?;
            Ok((threads_of(pid)? == threads).then_some(attached))
        };
        let attached = match attach()? {
            Some(attached) => attached,
            None if pid == std::process::id() => {
                return Err(Error::new("cannot watch this very process").why("it is making threads"));
            }
            None => {
                let _standing = StandStill::of(&[pid]);
                attach()?.ok_or_else(|| {
                    Error::new("cannot watch a process").pid(pid).why("it does not stop making threads")
                })?
            }
        };
        attached.enable().map_err(|errno| Error::new("cannot start perf events").pid(pid).why(errno))?;
        Ok(attached)
    }

    /// Opens the events of these threads (0: the calling one), and does not start them.
    ///
    /// Takes as many pages for the rings as the kernel allows this user, a power of two up to `pages`.
    pub fn to_threads(threads: &[u32], pages: usize) -> Result<Self, Refusal> {
        let processors = online_processors();
        let flags = allowed_flags(threads, &processors)?;
        let affordable = MOST_BYTES / (PAGE * processors.len().max(1));
        let mut pages = pages.min(affordable).max(1).next_power_of_two();
        loop {
            match Self::open(threads, &processors, flags, pages) {
                Err((Request::Map, Errno::EPERM | Errno::ENOMEM)) if pages > 1 => pages /= 2,
                Err((request, errno)) => return Err(Refusal::of(request, errno, Surroundings::here())),
                Ok(attached) => return Ok(attached),
            }
        }
    }

    fn open(threads: &[u32], processors: &[u32], flags: u64, pages: usize) -> Result<Self, (Request, Errno)> {
        let attr = inherited(flags, pages);
        let mut rings = Vec::with_capacity(processors.len());
        let mut others = Vec::new();
        for &processor in processors {
            let mut ring: Option<Ring> = None;
            for &thread in threads {
                let event = match abi::open(&attr, thread, processor) {
                    Ok(event) => event,
                    // A thread that has ended has no event, and needs none.
                    Err(Errno::ESRCH) if threads.len() > 1 => continue,
                    Err(errno) => return Err((Request::Open, errno)),
                };
                if let Some(ring) = &ring {
                    abi::set_output(event.as_fd(), ring.as_fd()).map_err(|errno| (Request::Open, errno))?;
                    others.push(event);
                } else {
                    let mapped = Ring::map(event, pages, Access::Consume);
                    ring = Some(mapped.map_err(|errno| (Request::Map, errno))?);
                }
            }
            rings.extend(ring);
        }
        if rings.is_empty() {
            return Err((Request::Open, Errno::ESRCH));
        }
        Ok(Self { rings, others, kernel_included: flags & flag::EXCLUDE_KERNEL == 0 })
    }

    /// Starts all events, and those that were inherited meanwhile.
    pub fn enable(&self) -> Result<(), Errno> {
        self.events().try_for_each(abi::enable)
    }

    /// How many faults the kernel counted, whether or not a ring had room for them.
    pub fn counted(&self) -> Result<u64> {
        self.events().map(abi::read_counter).sum()
    }

    fn events(&self) -> impl Iterator<Item = std::os::fd::BorrowedFd<'_>> {
        self.rings.iter().map(AsFd::as_fd).chain(self.others.iter().map(AsFd::as_fd))
    }
}

/// Wakes the reader when a quarter of the ring is full.
fn inherited(flags: u64, pages: usize) -> Attr {
    let quarter = u32::try_from(pages * PAGE / 4).unwrap_or(u32::MAX);
    Attr {
        wakeup_watermark: quarter,
        ..page_faults(flags | flag::INHERIT | flag::DISABLED | flag::WATERMARK)
    }
}

/// The most that the kernel lets us see of these threads: faults of the kernel too, where it does;
/// nothing of programs that a process turns into, where it can (Linux 5.13).
fn allowed_flags(threads: &[u32], processors: &[u32]) -> Result<u64, Refusal> {
    let (thread, processor) =
        (threads.first().copied().unwrap_or(0), processors.first().copied().unwrap_or(0));
    let mut refused = Errno::EINVAL;
    for flags in [flag::REMOVE_ON_EXEC, flag::REMOVE_ON_EXEC | flag::EXCLUDE_KERNEL, 0, flag::EXCLUDE_KERNEL]
    {
        match abi::open(&inherited(flags, 1), thread, processor) {
            Ok(_) => return Ok(flags),
            Err(errno) => refused = errno,
        }
    }
    Err(Refusal::of(Request::Open, refused, Surroundings::here()))
}

/// The threads of a process, the first one first.
fn threads_of(pid: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task");
    let folder = fs::read_dir(&path)
        .map_err(|error| Error::new("cannot list the threads of a process").path(&path).why(error))?;
    let names = folder.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut threads: Vec<u32> = names.filter_map(|name| name.parse().ok()).collect();
    threads.sort_unstable_by_key(|&thread| (thread != pid, thread));
    Ok(threads)
}

/// The processors that run programs now.
pub(super) fn online_processors() -> Vec<u32> {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let mut processors = processors_in(&online);
    if processors.is_empty() {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        processors = (0..u32::try_from(count).unwrap_or(1)).collect();
    }
    processors
}

/// Reads a list of the kernel: `0-2,7`.
fn processors_in(text: &str) -> Vec<u32> {
    let range = |part: &str| -> Option<std::ops::RangeInclusive<u32>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read_as_the_kernel_writes_them() {
        assert_eq!(processors_in("0-1\n"), [0, 1]);
        assert_eq!(processors_in("0-2,7,9-9"), [0, 1, 2, 7, 9]);
        assert_eq!(processors_in(""), [] as [u32; 0]);
        assert!(online_processors().len() >= std::thread::available_parallelism().unwrap().get());
    }
}
