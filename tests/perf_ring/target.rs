//! The watched side: a zygote, and workers of it that write to pages they inherited.
#![expect(unsafe_code, reason = "raw fork, mappings and stores are what is tested")]

use forkprint::kernel::perf::abi::{self, flag};
use forkprint::kernel::perf::event::page_faults;
use forkprint::kernel::perf::ring::{Access, Ring};
use forkprint::kernel::spawn::{ProcessGroup, adopt_fd, die_with_parent, exit_now};
use forkprint::supervisor::protocol::Channel;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub const PAGE: usize = 4096;
const SOCKET: &str = "FORKPRINT_PERF_RING_SOCKET";
/// Any test will do to get into [`Target::start`], which then never returns.
const ENTRY: &str = "a_worker_gives_one_event_for_each_page_it_writes";

/// What a worker does, and which worker.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Work {
    /// Pages to write, all from the first one.
    pub pages: usize,
    /// Threads that write them.
    pub threads: usize,
    /// 1: a child of the zygote does it; 2: a grandchild.
    pub generation: usize,
    /// `read(2)` writes the pages.
    pub by_kernel: bool,
    /// Pages of the rings that the worker opens on itself.
    pub own_rings: Option<usize>,
    /// It becomes another program in the end, one that faults a lot.
    pub then_exec: bool,
}

/// Three thousand pages, written by one thread of one child.
pub const WORK: Work =
    Work { pages: 3000, threads: 1, generation: 1, by_kernel: false, own_rings: None, then_exec: false };

#[derive(Debug, Serialize, Deserialize)]
enum Order {
    Map(usize),
    KeepMakingThreads,
    Work(Work),
    Go,
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Mapped { address: usize },
    MakingThreads,
    Ready { pid: u32, rings: Vec<RawFd> },
    Written,
    Gone,
}

/// The byte of a page that is written.
pub fn byte_of(page: usize) -> usize {
    page * PAGE + page * 37 % PAGE
}

/// All rings of a user share one budget of locked memory, and of a process another.
static BUDGET: Mutex<()> = Mutex::new(());

/// A zygote with pages to inherit.
pub struct Target {
    _budget: MutexGuard<'static, ()>,
    zygote: ProcessGroup,
    control: Channel,
    /// Where its pages start.
    pub address: usize,
}

/// A worker that stands before or behind its work.
pub struct Worker {
    pub pid: u32,
    /// Descriptors of the rings it opened on itself, one for each processor.
    pub rings: Vec<RawFd>,
}

impl Target {
    /// Starts the zygote: this very program again, which turns into it right here.
    pub fn start(pages: usize) -> Self {
        if let Ok(socket) = std::env::var(SOCKET) {
            serve(Channel::new(adopt_fd(socket.parse().unwrap()).into()));
        }
        let _budget = BUDGET.lock().unwrap_or_else(PoisonError::into_inner);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([ENTRY, "--exact", "--nocapture"]).stdin(Stdio::null()).stdout(Stdio::null());
        command.env(SOCKET, theirs.as_raw_fd().to_string());
        let zygote = ProcessGroup::spawn(command, vec![theirs.as_raw_fd()]).unwrap();
        drop(theirs);
        let mut control = Channel::new(ours);
        control.send(&Order::Map(pages)).unwrap();
        let Answer::Mapped { address } = control.receive().unwrap() else { panic!("not mapped") };
        Self { _budget, zygote, control, address }
    }

    pub fn pid(&self) -> u32 {
        self.zygote.pid()
    }

    /// From now on a thread of the zygote starts others, one after the other.
    pub fn keep_making_threads(&mut self) {
        self.control.send(&Order::KeepMakingThreads).unwrap();
        assert!(matches!(self.control.receive().unwrap(), Answer::MakingThreads));
    }

    /// Forks the worker, and waits until it stands before its work.
    pub fn fork(&mut self, work: Work) -> Worker {
        self.control.send(&Order::Work(work)).unwrap();
        let Answer::Ready { pid, rings } = self.control.receive().unwrap() else { panic!("not ready") };
        Worker { pid, rings }
    }

    /// Lets the worker work, and waits until it has.
    pub fn work(&mut self) {
        self.control.send(&Order::Go).unwrap();
        assert!(matches!(self.control.receive().unwrap(), Answer::Written));
    }

    /// Lets the worker end, and waits until it and its ancestors below the zygote are gone.
    pub fn end(&mut self) {
        self.control.send(&Order::Go).unwrap();
        assert!(matches!(self.control.receive().unwrap(), Answer::Gone));
    }
}

fn serve(mut control: Channel) -> ! {
    die_with_parent().unwrap();
    let Ok(Order::Map(pages)) = control.receive() else { exit_now(1) };
    let memory = Memory::new(pages);
    let mut answer = Answer::Mapped { address: memory.0 };
    while control.send(&answer).is_ok() {
        answer = match control.receive() {
            Ok(Order::KeepMakingThreads) => {
                std::thread::spawn(|| while std::thread::spawn(|| {}).join().is_ok() {});
                Answer::MakingThreads
            }
            Ok(Order::Work(work)) => {
                descend(work.generation, || be_worker(work, &memory, &mut control));
                Answer::Gone
            }
            _ => break,
        };
    }
    exit_now(0)
}

/// Forks so many generations, lets the last one work, and waits for it.
fn descend(generations: usize, work: impl FnOnce()) {
    if generations == 0 {
        return work();
    }
    // SAFETY: no other thread of this process does anything but wait.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => drop(waitpid(child, None).unwrap()),
        ForkResult::Child => {
            die_with_parent().unwrap();
            descend(generations - 1, work);
            exit_now(0);
        }
    }
}

fn be_worker(work: Work, memory: &Memory, control: &mut Channel) {
    let own: Vec<Ring> = work.own_rings.map_or(Vec::new(), open_own_rings);
    let rings = own.iter().map(|ring| ring.as_fd().as_raw_fd()).collect();
    control.send(&Answer::Ready { pid: std::process::id(), rings }).unwrap();
    let Ok(Order::Go) = control.receive() else { return };
    own.iter().for_each(|ring| abi::enable(ring.as_fd()).unwrap());
    memory.write(work);
    own.iter().for_each(|ring| abi::disable(ring.as_fd()).unwrap());
    control.send(&Answer::Written).unwrap();
    let _gone = control.receive::<Order>();
    if work.then_exec {
        let forks = "i=0; while [ $i -lt 300 ]; do (:); i=$((i+1)); done";
        panic!("{}", Command::new("sh").args(["-c", forks]).exec());
    }
}

/// As the witness `sigtrap` does it, without the signal.
fn open_own_rings(pages: usize) -> Vec<Ring> {
    let attr = page_faults(flag::DISABLED | flag::EXCLUDE_KERNEL);
    let processors = std::thread::available_parallelism().unwrap().get();
    let open = |processor| {
        let event = abi::open(&attr, 0, processor).unwrap();
        Ring::map(event, pages, Access::Consume).unwrap()
    };
    (0..u32::try_from(processors).unwrap()).map(open).collect()
}

/// Private pages, each of them written.
struct Memory(usize);

impl Memory {
    fn new(pages: usize) -> Self {
        let size = NonZeroUsize::new(pages * PAGE).unwrap();
        // SAFETY: a new private mapping, used only through this value and never unmapped.
        let start = unsafe {
            let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            let start = mmap_anonymous(None, size, access, MapFlags::MAP_PRIVATE).unwrap();
            let _unsupported = madvise(start, size.get(), MmapAdvise::MADV_NOHUGEPAGE);
            start.cast::<u8>().write_bytes(1, size.get());
            start
        };
        Self(start.as_ptr() as usize)
    }

    fn write(&self, work: Work) {
        std::thread::scope(|scope| {
            for first in 1..work.threads {
                scope.spawn(move || self.write_every(work, first));
            }
            self.write_every(work, 0);
        });
    }

    fn write_every(&self, work: Work, first: usize) {
        let mut zeros = work.by_kernel.then(|| File::open("/dev/zero").unwrap());
        for page in (first..work.pages).step_by(work.threads) {
            let byte = (self.0 + byte_of(page)) as *mut u8;
            match &mut zeros {
                // SAFETY: inside the mapping; nobody else uses this byte.
                Some(file) => file.read_exact(unsafe { std::slice::from_raw_parts_mut(byte, 1) }).unwrap(),
                // SAFETY: as above.
                None => unsafe { byte.write_volatile(2) },
            }
        }
    }
}
