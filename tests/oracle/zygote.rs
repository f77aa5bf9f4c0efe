//! The measured side: a zygote that does to each page what its case says, and stands still between.
#![expect(unsafe_code, reason = "raw fork, mappings and stores are what is tested")]

use crate::cases::{
    Before, Case, KERNEL_INK, KERNEL_OFFSET, Kind, LATE_INK, LATE_OFFSET, Member, Op, fork_time_byte,
};
use forkprint::family::PageRanges;
use forkprint::kernel::spawn::{adopt_fd, die_with_parent, exit_now, freeze_sibling};
use forkprint::kernel::uffd::WriteTracker;
use forkprint::observe::maps::read_identity;
use forkprint::observe::process::huge_pages;
use forkprint::observe::{ProcRoot, read_process};
use forkprint::supervisor::protocol::{Channel, Frozen, Watching, pairs};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use nix::unistd::{ForkResult, fork};
use serde::{Deserialize, Serialize};
use std::ffi::c_void;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::ptr::NonNull;

const PAGE: usize = 4096;
const HUGE_PAGE: usize = 512 * PAGE;

/// The sockets that the zygote inherits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sockets {
    pub control: RawFd,
    pub workers: Vec<RawFd>,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Zygote only, first of all: make the test mapping and what is done with it before the fork.
    Map(Kind, Vec<Case>),
    /// Freeze a sibling; track writes here and in every worker.
    Freeze {
        track: bool,
    },
    Fork(usize),
    /// Zygote only: write what shall be written between two forks.
    WriteBetween,
    /// Do what the cases say for this phase.
    Act(usize),
    /// Worker only: become another program, one that echoes what it is sent.
    Exec,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    Mapped { first_page: u64, huge_pages: u64, swapped_pages: u64 },
    Frozen(Frozen),
    Forked { pid: u32 },
    Done,
}

/// Serves the driver until it goes away.
pub fn serve(sockets: &Sockets) -> ! {
    let mut control = Channel::new(adopt_fd(sockets.control).into());
    let mut workers: Vec<Option<Channel>> =
        sockets.workers.iter().map(|&fd| Some(Channel::new(adopt_fd(fd).into()))).collect();
    let Ok(Order::Map(kind, cases)) = control.receive() else { exit_now(1) };
    let mapping = Mapping::new(kind, cases);
    mapping.prepare();
    let mut tracked = None;
    let mut tracker = None;
    let mut answer = mapping.describe();
    while control.send(&answer).is_ok() {
        answer = match control.receive() {
            Ok(Order::Freeze { track }) => {
                let sibling = freeze_sibling().unwrap();
                let areas = if track { writable_areas() } else { PageRanges::new() };
                tracker = track.then(|| WriteTracker::arm(&areas, |_| {}).unwrap());
                tracked = track.then(|| areas.clone());
                mapping.write_again(Before::WrittenLate);
                Answer::Frozen(Frozen {
                    pid: sibling.pid,
                    regions: Vec::new(),
                    instrument: pairs(&sibling.instrument),
                    tracked: pairs(&areas),
                    watched: Watching::NotAsked,
                })
            }
            Ok(Order::Fork(index)) => {
                let channel = workers[index].take().unwrap();
                // SAFETY: no other thread of this process does anything but wait.
                match unsafe { fork() }.unwrap() {
                    ForkResult::Parent { child } => Answer::Forked { pid: child.as_raw().cast_unsigned() },
                    ForkResult::Child => work(index, channel, &mapping, tracked.as_ref()),
                }
            }
            Ok(Order::WriteBetween) => {
                mapping.write_again(Before::WrittenBetween);
                Answer::Done
            }
            Ok(Order::Act(phase)) => {
                mapping.act(phase, Member::Zygote);
                Answer::Done
            }
            Ok(Order::Map(..) | Order::Exec) | Err(_) => break,
        };
    }
    drop(tracker);
    exit_now(0)
}

fn work(index: usize, mut channel: Channel, mapping: &Mapping, tracked: Option<&PageRanges>) -> ! {
    let tracker = tracked.map(|areas| WriteTracker::arm(areas, |_| {}).unwrap());
    die_with_parent().unwrap();
    while channel.send(&Answer::Done).is_ok() {
        match channel.receive() {
            Ok(Order::Act(phase)) => mapping.act(phase, Member::Worker(index)),
            Ok(Order::Exec) => become_cat(&channel),
            _ => break,
        }
    }
    drop(tracker);
    exit_now(0)
}

fn become_cat(channel: &Channel) -> ! {
    for fd in [0, 1] {
        // SAFETY: the channel's descriptor is open, and nothing uses the standard streams any more.
        unsafe { libc::dup2(channel.fd(), fd) };
    }
    panic!("{}", std::process::Command::new("cat").exec());
}

fn writable_areas() -> PageRanges {
    let own = read_identity(&ProcRoot::system(), std::process::id()).unwrap();
    let areas = own.vmas.iter().filter(|vma| vma.copy_on_write() && vma.flags.write);
    areas.map(|vma| vma.start..vma.end).collect()
}

/// The test memory, one page a case.
struct Mapping {
    start: NonNull<c_void>,
    cases: Vec<Case>,
}

impl Mapping {
    fn new(kind: Kind, cases: Vec<Case>) -> Self {
        let size = NonZeroUsize::new(cases.len() * PAGE).unwrap();
        let both = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: new mappings, reached only through the pointers kept here and never unmapped as a
        // whole.
        let start = unsafe {
            match kind {
                Kind::Anonymous => mmap_anonymous(None, size, both, MapFlags::MAP_PRIVATE),
                Kind::SharedAnonymous => mmap_anonymous(None, size, both, MapFlags::MAP_SHARED),
                Kind::PrivateFile => {
                    let file = tempfile::tempfile().unwrap();
                    file.set_len(size.get() as u64).unwrap();
                    mmap(None, size, both, MapFlags::MAP_PRIVATE, file, 0)
                }
                Kind::Huge => {
                    let more = size.checked_add(HUGE_PAGE).unwrap();
                    mmap_anonymous(None, more, both, MapFlags::MAP_PRIVATE).map(|start| {
                        let aligned = start.add(start.align_offset(HUGE_PAGE));
                        madvise(aligned, size.get(), MmapAdvise::MADV_HUGEPAGE).unwrap();
                        aligned
                    })
                }
            }
        };
        // Small pages only, whatever this machine does by default.
        let start = start.unwrap();
        if kind == Kind::Anonymous {
            // SAFETY: advice on the mapping just made. A kernel without huge pages refuses, rightly.
            let _unsupported = unsafe { madvise(start, size.get(), MmapAdvise::MADV_NOHUGEPAGE) };
        }
        Self { start, cases }
    }

    fn describe(&self) -> Answer {
        let first_page = self.address(0) as u64 / 4096;
        let ours = first_page..first_page + self.cases.len() as u64;
        let huge = huge_pages(&ProcRoot::system(), std::process::id()).unwrap();
        let within =
            huge.iter().map(|range| range.end.0.min(ours.end).saturating_sub(range.start.0.max(ours.start)));
        Answer::Mapped { first_page, huge_pages: within.sum(), swapped_pages: self.page_out() }
    }

    fn address(&self, page: usize) -> *mut u8 {
        self.start.as_ptr().cast::<u8>().wrapping_add(page * PAGE)
    }

    /// Does to every page what its past says.
    fn prepare(&self) {
        for (page, case) in self.cases.iter().enumerate() {
            match case.before {
                Before::Untouched => {}
                Before::Read => self.load(page),
                _ => self.fill(page, 0, (fork_time_byte(page), PAGE)),
            }
        }
    }

    /// Pages out what shall be in swap at the fork. Returns how many pages are.
    fn page_out(&self) -> u64 {
        let swapped = |page: &usize| self.cases[*page].before == Before::Swapped;
        for page in (0..self.cases.len()).filter(swapped) {
            // SAFETY: whole pages of the mapping; paging out changes no byte of theirs.
            unsafe { madvise(self.pointer(page), PAGE, MmapAdvise::MADV_PAGEOUT) }.unwrap();
        }
        let own = read_process(&ProcRoot::system(), std::process::id()).unwrap();
        own.pages.entries.iter().filter(|entry| entry.swapped()).count() as u64
    }

    fn write_again(&self, before: Before) {
        for (page, _) in self.cases.iter().enumerate().filter(|(_, case)| case.before == before) {
            self.fill(page, LATE_OFFSET, LATE_INK);
        }
    }

    fn act(&self, phase: usize, member: Member) {
        for (page, case) in self.cases.iter().enumerate() {
            if let Some(&(who, op)) = case.acts.get(phase)
                && who.includes(member)
            {
                self.apply(page, op, member);
            }
        }
    }

    fn apply(&self, page: usize, op: Op, member: Member) {
        match op {
            Op::Read => self.load(page),
            Op::WriteSame => {
                // SAFETY: a mapped page of ours, see `load`.
                unsafe { self.address(page).write_volatile(self.address(page).read_volatile()) };
            }
            Op::WriteNew => self.fill(page, 0, member.ink()),
            Op::KernelWrite => self.read_into(page),
            // SAFETY: whole pages of the mapping, to which no reference exists.
            Op::Discard => unsafe { madvise(self.pointer(page), PAGE, MmapAdvise::MADV_DONTNEED) }.unwrap(),
            // SAFETY: as above; no case touches a page after its unmapping.
            Op::Unmap => unsafe { munmap(self.pointer(page), PAGE) }.unwrap(),
        }
    }

    fn pointer(&self, page: usize) -> NonNull<c_void> {
        NonNull::new(self.address(page).cast()).unwrap()
    }

    fn load(&self, page: usize) {
        // SAFETY: the page lies in the mapping, and no case touches a page it has unmapped.
        std::hint::black_box(unsafe { self.address(page).read_volatile() });
    }

    fn fill(&self, page: usize, offset: usize, (byte, amount): (u8, usize)) {
        for index in 0..amount {
            // SAFETY: as in `load`; offset and amount stay within the page.
            unsafe { self.address(page).add(offset + index).write_volatile(byte) };
        }
    }

    /// Lets the kernel write the page, with bytes that come out of a pipe.
    fn read_into(&self, page: usize) {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(&[KERNEL_INK.0; KERNEL_INK.1]).unwrap();
        // SAFETY: bytes of a mapped page, to which no other reference exists.
        let target =
            unsafe { std::slice::from_raw_parts_mut(self.address(page).add(KERNEL_OFFSET), KERNEL_INK.1) };
        reader.read_exact(target).unwrap();
    }
}
