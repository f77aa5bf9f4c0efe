//! Page-fault events: how they are asked for, and how their records are read.

use super::abi::{self, Attr, flag, sample};
use crate::kernel::event::BreakEvent;

/// `PERF_RECORD_LOST`: so many samples found no room.
const RECORD_LOST: u32 = 2;
/// `PERF_RECORD_SAMPLE`.
const RECORD_SAMPLE: u32 = 9;
/// Bytes of `struct perf_event_header`: type (4), misc (2), size of the record (2).
const HEADER: usize = 8;

/// Bytes that a page fault takes in a ring.
pub const SAMPLE_SIZE: usize = HEADER + 4 * 8;

/// An event that samples every page fault: instruction, thread, `CLOCK_MONOTONIC` time and exact
/// address. `flags` are bits of [`flag`] beside those that this takes.
pub fn page_faults(flags: u64) -> Attr {
    Attr {
        kind: abi::TYPE_SOFTWARE,
        size: u32::try_from(size_of::<Attr>()).unwrap_or(0),
        config: abi::SW_PAGE_FAULTS,
        sample_period: 1,
        sample_type: sample::IP | sample::TID | sample::TIME | sample::ADDR,
        flags: flags | flag::EXCLUDE_HV | flag::USE_CLOCKID,
        clockid: libc::CLOCK_MONOTONIC,
        ..Attr::default()
    }
}

/// One page fault, as the kernel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    instruction: u64,
    pid: u32,
    thread: u32,
    nanos: u64,
    address: u64,
}

impl Fault {
    /// The byte that was touched.
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// When it happened (`CLOCK_MONOTONIC`, nanoseconds).
    pub const fn nanos(&self) -> u64 {
        self.nanos
    }
}

impl From<Fault> for BreakEvent {
    fn from(fault: Fault) -> Self {
        Self {
            address: fault.address,
            instruction: fault.instruction,
            nanos: fault.nanos,
            pid: fault.pid,
            thread: fault.thread,
            ..Self::default()
        }
    }
}

/// What stands in a stretch of a ring.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Page faults, in the order of the ring.
    pub faults: Vec<Fault>,
    /// Samples that the kernel says it dropped. It does not always say so: trust the counter.
    pub lost: u64,
}

impl Records {
    /// Appends the records that `bytes` hold, whole ones only; bytes that are no records end it.
    pub fn read(&mut self, mut bytes: &[u8]) {
        while let Some((kind, size)) = header(bytes) {
            let Some((record, rest)) = bytes.split_at_checked(size) else { return };
            match kind {
                RECORD_SAMPLE => self.faults.extend(fault(record)),
                RECORD_LOST => self.lost += u64_at(record, HEADER + 8).unwrap_or(0),
                _ => {}
            }
            bytes = rest;
        }
    }
}

/// Type and size of the record at the start of `bytes`.
fn header(bytes: &[u8]) -> Option<(u32, usize)> {
    let kind = u32_at(bytes, 0)?;
    let size = usize::from(u16::from_ne_bytes(*bytes.get(6..)?.first_chunk()?));
    (size >= HEADER).then_some((kind, size))
}

/// A sample of [`page_faults`].
fn fault(record: &[u8]) -> Option<Fault> {
    Some(Fault {
        instruction: u64_at(record, HEADER)?,
        pid: u32_at(record, HEADER + 8)?,
        thread: u32_at(record, HEADER + 12)?,
        nanos: u64_at(record, HEADER + 16)?,
        address: u64_at(record, HEADER + 24)?,
    })
}

fn u64_at(record: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*record.get(offset..)?.first_chunk()?))
}

fn u32_at(record: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*record.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a kernel of an x86-64 lays them out: a sample, a loss of 7, a sample, an unknown record.
    fn records() -> Vec<u8> {
        let sample = |address: u64| {
            let mut bytes = vec![9, 0, 0, 0, 2, 0, 40, 0];
            bytes.extend(0x40_1000_u64.to_le_bytes());
            bytes.extend([1_u32, 2].map(u32::to_le_bytes).concat());
            bytes.extend([99_u64, address].map(u64::to_le_bytes).concat());
            bytes
        };
        let mut lost = vec![2, 0, 0, 0, 0, 0, 24, 0];
        lost.extend([1_u64, 7].map(u64::to_le_bytes).concat());
        let unknown = vec![77, 0, 0, 0, 0, 0, 8, 0];
        [sample(0x7000), lost, sample(0x8001), unknown].concat()
    }

    #[test]
    fn reads_every_record_and_skips_what_it_does_not_know() {
        let mut told = Records::default();
        told.read(&records());
        let fault = |address| Fault { instruction: 0x40_1000, pid: 1, thread: 2, nanos: 99, address };
        assert_eq!(told, Records { faults: vec![fault(0x7000), fault(0x8001)], lost: 7 });
    }

    #[test]
    fn bytes_cut_anywhere_give_the_whole_records_before_the_cut() {
        let bytes = records();
        for cut in 0..bytes.len() {
            let mut told = Records::default();
            told.read(&bytes[..cut]);
            assert_eq!(told.faults.len(), usize::from(cut >= 40) + usize::from(cut >= 104));
        }
    }

    #[test]
    fn records_of_no_size_end_the_reading() {
        let mut told = Records::default();
        told.read(&[0; 4096]);
        assert_eq!(told, Records::default());
    }
}
