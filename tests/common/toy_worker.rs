//! A forked worker that runs steps on order, and what the kernel says of its pages.

use forkprint::runtimes::toy::ToyRuntime;
use forkprint::runtimes::{ForkSide, Runtime};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::unix::fs::FileExt;

const PAGE: u64 = 4096;

/// What a worker says that it changed since the fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Addresses of changed operands in the code.
    pub patched: Vec<u64>,
    /// Addresses of changed words of the inline-cache data.
    pub written: Vec<u64>,
    pub compiled: u64,
    /// Objects whose count is not the number of references to them; none where nothing is counted.
    pub miscounted: u64,
}

pub struct Worker {
    pid: Pid,
    orders: PipeWriter,
    answers: PipeReader,
    /// Page address to frame number, of every page present in the zygote at the fork.
    pub inherited: BTreeMap<u64, u64>,
}

impl Worker {
    pub fn fork(zygote: &mut ToyRuntime) -> Self {
        zygote.prepare_fork().unwrap();
        let (mut orders_read, orders) = pipe().unwrap();
        let (answers, mut answers_write) = pipe().unwrap();
        let inherited = frames("self", zygote);
        match zygote.fork().unwrap() {
            ForkSide::Zygote(pid) => {
                Self { pid: Pid::from_raw(pid.cast_signed()), orders, answers, inherited }
            }
            ForkSide::Worker => {
                drop(orders);
                let mut order = [0];
                while orders_read.read_exact(&mut order).is_ok() {
                    let finished = zygote.run_step(usize::from(order[0])).is_ok();
                    let patched: Vec<u64> = zygote.patched_sites().iter().map(|site| *site as u64).collect();
                    let compiled = zygote.compiled_functions() as u64;
                    let numbers = vec![u64::from(finished), compiled, zygote.miscounted_objects() as u64];
                    for list in [numbers, patched, zygote.written_slots()] {
                        for word in std::iter::once(list.len() as u64).chain(list) {
                            answers_write.write_all(&word.to_ne_bytes()).unwrap();
                        }
                    }
                }
                raise(Signal::SIGKILL).unwrap();
                unreachable!("the worker is dead");
            }
        }
    }

    pub fn run(&mut self, step: u8) -> Told {
        self.orders.write_all(&[step]).unwrap();
        let mut word = || {
            let mut bytes = [0; 8];
            self.answers.read_exact(&mut bytes).unwrap();
            u64::from_ne_bytes(bytes)
        };
        let mut list = || (0..word()).map(|_| word()).collect::<Vec<u64>>();
        let (numbers, patched, written) = (list(), list(), list());
        assert_eq!(numbers[0], 1, "step {step} failed");
        Told { patched, written, compiled: numbers[1], miscounted: numbers[2] }
    }

    /// Of these addresses, the pages that the worker inherited.
    pub fn inherited_pages(&self, addresses: &[u64]) -> BTreeSet<u64> {
        let pages = addresses.iter().map(|address| address / PAGE * PAGE);
        pages.filter(|page| self.inherited.contains_key(page)).collect()
    }

    /// Inherited pages of a region that no longer have the frame they had at the fork.
    pub fn broken(&self, zygote: &ToyRuntime, region: &str) -> BTreeSet<u64> {
        let now = frames(&self.pid.to_string(), zygote);
        let inherited = self.inherited.range(bounds(zygote, region));
        inherited.filter(|(page, frame)| now.get(page) != Some(frame)).map(|(page, _)| *page).collect()
    }

    /// Pages of a region that the worker has and did not inherit.
    pub fn fresh(&self, zygote: &ToyRuntime, region: &str) -> BTreeSet<u64> {
        let now = frames(&self.pid.to_string(), zygote);
        let pages = now.range(bounds(zygote, region)).map(|(page, _)| *page);
        pages.filter(|page| !self.inherited.contains_key(page)).collect()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}

/// First address of a region, and the one past its last.
pub fn bounds(runtime: &ToyRuntime, region: &str) -> std::ops::Range<u64> {
    let found = runtime.regions().into_iter().find(|found| found.name == region).unwrap();
    found.start..found.end
}

/// Page address to frame number, of every present page of the runtime's regions.
fn frames(process: &str, runtime: &ToyRuntime) -> BTreeMap<u64, u64> {
    let pagemap = File::open(format!("/proc/{process}/pagemap")).unwrap();
    let mut frames = BTreeMap::new();
    for region in runtime.regions() {
        let pages = usize::try_from((region.end - region.start) / PAGE).unwrap();
        let mut entries = vec![0; pages * 8];
        pagemap.read_exact_at(&mut entries, region.start / PAGE * 8).unwrap();
        for (page, entry) in (region.start..region.end).step_by(4096).zip(entries.chunks_exact(8)) {
            let entry = u64::from_ne_bytes(entry.try_into().unwrap());
            let present = entry >> 63 == 1;
            if present {
                frames.insert(page, entry & ((1 << 55) - 1));
            }
        }
    }
    frames
}

/// Frame numbers are shown to root only.
pub fn frames_are_hidden(runtime: &ToyRuntime) -> bool {
    frames("self", runtime).values().all(|frame| *frame == 0)
}

/// Bytes of this process's memory.
pub fn bytes(range: std::ops::Range<u64>) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
    File::open("/proc/self/mem").unwrap().read_exact_at(&mut bytes, range.start).unwrap();
    bytes
}
