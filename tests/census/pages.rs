//! Page frames of a process, as `/proc/PID/pagemap` tells them to root.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

const PAGE: u64 = 4096;
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// The frame behind each present page of writable private memory; `None` where frames are not shown.
pub fn private_frames(pid: u32) -> Option<BTreeMap<u64, u64>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let pagemap = File::open(format!("/proc/{pid}/pagemap")).unwrap();
    let mut frames = BTreeMap::new();
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut entries = vec![0; usize::try_from((end - start) / PAGE * 8).unwrap()];
        pagemap.read_exact_at(&mut entries, start / PAGE * 8).unwrap();
        for (page, entry) in (start..end).step_by(PAGE as usize).zip(entries.chunks_exact(8)) {
            let entry = u64::from_ne_bytes(entry.try_into().unwrap());
            if entry & PRESENT != 0 {
                frames.insert(page, Some(entry & FRAME).filter(|frame| *frame != 0)?);
            }
        }
    }
    Some(frames)
}
