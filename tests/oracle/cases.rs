//! What happens to one page before and after the fork. Every page of the test mapping is one case.

use serde::{Deserialize, Serialize};

/// The memory that the pages lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Anonymous,
    PrivateFile,
    SharedAnonymous,
    /// Anonymous, 2 MiB aligned, `MADV_HUGEPAGE`.
    Huge,
}

/// What the zygote did with a page before the fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Before {
    Untouched,
    Read,
    Written,
    /// Written, and then paged out.
    Swapped,
    /// Written, and written once more when the sibling was frozen already.
    WrittenLate,
    /// Written, and written once more after the fork of the first worker and before the second's.
    WrittenBetween,
}

/// What a process does with a page after the fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    Read,
    /// Stores the byte that is there.
    WriteSame,
    WriteNew,
    /// `read(2)` into the page: the kernel writes on the process's behalf.
    KernelWrite,
    /// `MADV_DONTNEED`.
    Discard,
    Unmap,
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    Zygote,
    /// The workers whose bits are set.
    Workers(u8),
}

impl Who {
    pub fn includes(self, member: Member) -> bool {
        match (self, member) {
            (Self::Zygote, Member::Zygote) => true,
            (Self::Workers(mask), Member::Worker(index)) => mask & (1 << index) != 0,
            _ => false,
        }
    }
}

/// One process of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    Zygote,
    Worker(usize),
}

impl Member {
    /// The byte that this member writes, and how many of it. No fork-time byte has such a value.
    pub fn ink(self) -> (u8, usize) {
        match self {
            Self::Zygote => (0xA0, 100),
            Self::Worker(index) => (0xB0 + u8::try_from(index).unwrap(), 3 + index),
        }
    }
}

/// Bytes that `read(2)` puts into a page, and where.
pub const KERNEL_INK: (u8, usize) = (0xC0, 8);
pub const KERNEL_OFFSET: usize = 2048;
/// Where the late write of the zygote goes.
pub const LATE_INK: (u8, usize) = (0xD0, 5);
pub const LATE_OFFSET: usize = 3000;

/// The byte that fills a page which the zygote wrote before the fork.
pub fn fork_time_byte(page: usize) -> u8 {
    1 + (page % 100) as u8
}

pub type Act = (Who, Op);

/// One page: its past, and one act a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub before: Before,
    pub acts: Vec<Act>,
}

/// Phases after the fork.
pub const PHASES: usize = 3;

const OPS: [Op; 6] = [Op::Read, Op::WriteSame, Op::WriteNew, Op::KernelWrite, Op::Discard, Op::Unmap];

/// 2 MiB pages: untouched, written by one member at the first page or elsewhere, and every mix.
pub fn huge_mixes() -> Vec<Case> {
    let block = |acts: &[(usize, Act)]| -> Vec<Case> {
        let acts_of =
            |page: usize| acts.iter().filter(move |(at, _)| *at == page).map(|&(_, act)| act).collect();
        (0..512).map(|page| Case { before: Before::Written, acts: acts_of(page) }).collect()
    };
    let worker = |op| (Who::Workers(0b1), op);
    let zygote = |op| (Who::Zygote, op);
    let mut cases = [
        block(&[]),
        block(&[(0, worker(Op::WriteNew))]),
        block(&[(0, zygote(Op::WriteNew))]),
        block(&[(0, worker(Op::WriteSame)), (0, zygote(Op::WriteSame))]),
        block(&[(300, worker(Op::KernelWrite))]),
        block(&[(300, zygote(Op::WriteNew)), (511, worker(Op::WriteNew))]),
        block(&[(7, worker(Op::Discard)), (8, zygote(Op::Discard))]),
        block(&[(7, worker(Op::Unmap)), (511, zygote(Op::Unmap))]),
        block(&[(3, (Who::Workers(0b111), Op::WriteNew))]),
        block(&[(0, (Who::Workers(0b110), Op::WriteNew)), (0, zygote(Op::WriteNew))]),
    ]
    .concat();
    cases.extend(every_mix(&[Before::Written], 3));
    let whole = cases.len().next_multiple_of(512);
    cases.resize(whole, Case { before: Before::Written, acts: Vec::new() });
    cases
}

/// Every mix of past, one act and two acts, and of three acts that matter, for so many workers.
pub fn every_mix(befores: &[Before], workers: usize) -> Vec<Case> {
    let whos: Vec<Who> = match workers {
        1 => vec![Who::Zygote, Who::Workers(0b1)],
        _ => vec![Who::Zygote, Who::Workers(0b001), Who::Workers(0b110), Who::Workers(0b111)],
    };
    let acts = |ops: &[Op]| -> Vec<Act> {
        whos.iter().flat_map(|&who| ops.iter().map(move |&op| (who, op))).collect()
    };
    let all = acts(&OPS);
    let some = acts(&[Op::WriteNew, Op::Discard]);
    let mut sequences = vec![Vec::new()];
    sequences.extend(all.iter().map(|&act| vec![act]));
    sequences.extend(all.iter().flat_map(|&first| all.iter().map(move |&second| vec![first, second])));
    let pairs = some.iter().flat_map(|&first| some.iter().map(move |&second| (first, second)));
    sequences
        .extend(pairs.flat_map(|(first, second)| some.iter().map(move |&third| vec![first, second, third])));
    sequences.retain(|acts| possible(acts));
    let case = |acts: &Vec<Act>, before: Before| Case { before, acts: acts.clone() };
    sequences.iter().flat_map(|acts| befores.iter().map(move |&before| case(acts, before))).collect()
}

/// Nobody touches a page that it has unmapped.
fn possible(acts: &[Act]) -> bool {
    let overlap = |a: Who, b: Who| match (a, b) {
        (Who::Zygote, Who::Zygote) => true,
        (Who::Workers(a), Who::Workers(b)) => a & b != 0,
        _ => false,
    };
    acts.iter().enumerate().all(|(index, &(who, op))| {
        op != Op::Unmap || acts[index + 1..].iter().all(|&(later, _)| !overlap(who, later))
    })
}
