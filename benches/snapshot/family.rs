//! The processes measured: this program again as a zygote, its workers frozen as they were forked.

use forkprint::family::Process;
use forkprint::kernel::spawn::{ProcessGroup, freeze_sibling};
use forkprint::units::{PAGE_SIZE, Vpn};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// First argument of the zygote.
pub const ZYGOTE: &str = "be-zygote";
/// Pages of the zygote: 1 GiB.
pub const PAGES: u64 = (1 << 30) / PAGE_SIZE;
/// Workers.
pub const WORKERS: usize = 8;
/// One page in so many is broken in every worker.
const BROKEN_ONE_IN: u64 = 10;

/// The zygote: fills its memory in base pages, says where it is, and clones a frozen copy of itself
/// for every line it reads.
pub fn be_zygote() {
    nix::sys::prctl::set_thp_disable(true).expect("base pages");
    let mut memory = vec![0_u8; (PAGES * PAGE_SIZE) as usize];
    for (word, bytes) in (1_u64..).zip(memory.chunks_exact_mut(8)) {
        bytes.copy_from_slice(&word.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    }
    let first = Vpn::of_address(memory.as_ptr() as u64 + PAGE_SIZE - 1);
    println!("{}", first.0);
    for line in std::io::stdin().lines() {
        line.expect("the pipe of the bench");
        println!("{}", freeze_sibling().expect("a sibling").pid);
    }
    std::hint::black_box(&memory);
}

/// A zygote, the sibling that holds the fork-time bytes, and the workers. They die with us.
pub struct BenchFamily {
    _group: ProcessGroup,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    first: Vpn,
    pub zygote: u32,
    pub reference: u32,
    pub workers: Vec<u32>,
}

impl BenchFamily {
    /// Starts the zygote and freezes the reference.
    pub fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("our own path"));
        command.arg(ZYGOTE).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut group = ProcessGroup::spawn(command, Vec::new()).expect("a zygote");
        let commands = group.child().stdin.take().expect("a pipe");
        let answers = BufReader::new(group.child().stdout.take().expect("a pipe"));
        let zygote = group.pid();
        let mut family = Self {
            _group: group,
            commands,
            answers,
            first: Vpn(0),
            zygote,
            reference: 0,
            workers: Vec::new(),
        };
        family.first = Vpn(family.answer());
        family.reference = family.freeze();
        family
    }

    /// Forks the workers.
    pub fn fork_workers(&mut self) -> Vec<u32> {
        self.workers = (0..WORKERS).map(|_| self.freeze()).collect();
        self.workers.clone()
    }

    /// The zygote and its workers.
    pub fn measured(&self) -> Vec<u32> {
        std::iter::once(self.zygote).chain(self.workers.iter().copied()).collect()
    }

    /// The pages that were filled; the last one is not whole.
    pub fn pages(&self) -> impl Iterator<Item = Vpn> + use<> {
        (self.first.0..self.first.0 + PAGES - 1).map(Vpn)
    }

    /// The pages broken in every worker: one in ten, no two of them a fixed distance apart.
    pub fn scattered_pages(&self) -> impl Iterator<Item = Vpn> + use<> {
        self.pages().filter(|page| (page.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % BROKEN_ONE_IN == 0)
    }

    /// Pages broken in all workers together.
    pub fn broken_pages(&self) -> u64 {
        (self.scattered_pages().count() * self.workers.len()) as u64
    }

    /// Breaks the scattered pages in every worker.
    pub fn break_scattered(&self) {
        let pages: Vec<Vpn> = self.scattered_pages().collect();
        self.workers.iter().for_each(|&worker| self.break_pages(worker, &pages));
    }

    /// Writes to pages of a worker, so that the kernel copies them: every second one with the byte
    /// it has already (a ghost).
    pub fn break_pages(&self, worker: u32, pages: &[Vpn]) {
        let memory = OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/{worker}/mem"))
            .expect("its memory");
        for (index, page) in pages.iter().enumerate() {
            let mut byte = [0];
            memory.read_exact_at(&mut byte, page.address() + 64).expect("read");
            byte[0] ^= u8::from(index % 2 == 1);
            memory.write_all_at(&byte, page.address() + 64).expect("written");
        }
    }

    fn freeze(&mut self) -> u32 {
        writeln!(self.commands, "freeze").expect("the zygote listens");
        u32::try_from(self.answer()).expect("a pid")
    }

    fn answer(&mut self) -> u64 {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the zygote answers");
        line.trim().parse().expect("a number")
    }
}

/// Reads of the same page map entries with nothing around them.
pub struct BareReads {
    processes: Vec<(File, Vec<(u64, usize)>)>,
}

impl BareReads {
    /// For the ranges that a snapshot read.
    pub fn of(processes: &[Process]) -> Self {
        let ranges =
            |process: &Process| process.pages.runs.iter().map(|run| (run.first.0 * 8, run.len * 8)).collect();
        let open =
            |process: &Process| File::open(format!("/proc/{}/pagemap", process.pid)).expect("a page map");
        Self { processes: processes.iter().map(|process| (open(process), ranges(process))).collect() }
    }

    pub fn bytes(&self) -> usize {
        self.processes.iter().flat_map(|(_, ranges)| ranges).map(|(_, bytes)| bytes).sum()
    }

    /// Reads all of them, 1 MiB at a time into one buffer a thread.
    pub fn read(&self, threads: usize) {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut buffer = vec![0; 1 << 20];
            while let Some((file, ranges)) = self.processes.get(next.fetch_add(1, Ordering::Relaxed)) {
                ranges.iter().for_each(|&(offset, bytes)| read_range(file, offset, bytes, &mut buffer));
            }
        };
        std::thread::scope(|scope| {
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
    }
}

fn read_range(file: &File, offset: u64, bytes: usize, buffer: &mut [u8]) {
    let mut done = 0;
    while done < bytes {
        let want = (bytes - done).min(buffer.len());
        done += file.read_at(&mut buffer[..want], offset + done as u64).expect("read").max(1);
    }
}

/// Bare reads of the kernel's totals.
pub fn read_rollups(pids: &[u32]) -> usize {
    pids.iter().map(|pid| fs::read(format!("/proc/{pid}/smaps_rollup")).expect("totals").len()).sum()
}
