//! What a family may write instead of a census.

use forkprint::agent::wire::{CENSUS_BYTES, NODES_AT, OBJECTS_AT, TEXT_AT, TYPES_AT};
use forkprint::cpython::census::Census;
use forkprint::error::Result;
use forkprint::kernel::agent::CensusMemory;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

const MAGIC: u64 = forkprint::agent::wire::CENSUS_MAGIC;

fn memfd(bytes: u64) -> File {
    let fd = memfd_create(c"census", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
    let file = File::from(fd);
    file.set_len(bytes).unwrap();
    file
}

/// A header: types, names, nodes, text, objects, unreachable, dropped, nanos, done.
fn file(counts: [u64; 9], parts: &[(usize, &[u8])]) -> File {
    let file = memfd(CENSUS_BYTES as u64);
    let header: Vec<u8> = [MAGIC].iter().chain(&counts).flat_map(|word| word.to_ne_bytes()).collect();
    file.write_all_at(&header, 0).unwrap();
    for (at, bytes) in parts {
        file.write_all_at(bytes, *at as u64).unwrap();
    }
    file
}

fn read(file: File) -> Result<Census> {
    Census::read(CensusMemory::map(&OwnedFd::from(file))?)
}

fn why(file: File) -> String {
    read(file).unwrap_err().to_string()
}

/// Numbers that look random, the same in every run.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..bytes / 8).flat_map(|_| next().to_ne_bytes()).collect()
}

#[test]
fn refusals_say_what_is_wrong() {
    assert!(why(memfd(4096)).contains("another size"));
    assert!(why(memfd(CENSUS_BYTES as u64)).contains("its layout is 0x0"));
    assert!(why(file([0; 9], &[])).contains("ended before it was done"));
    for part in 0..5 {
        let mut counts = [0, 0, 0, 0, 0, 0, 0, 0, 1];
        counts[part] = 1 << 40;
        assert!(why(file(counts, &[])).contains("1099511627776"), "{part}");
    }
}

#[test]
fn memory_that_could_be_taken_away_is_refused() {
    let fd = memfd_create(c"census", MFdFlags::MFD_CLOEXEC).unwrap();
    let file = File::from(fd);
    file.set_len(CENSUS_BYTES as u64).unwrap();
    assert!(why(file).contains("cannot seal"));
    let file = file_of_nothing();
    let _census = CensusMemory::map(&file.try_clone().unwrap().into()).unwrap();
    assert!(file.set_len(0).is_err(), "whoever reads the census keeps its memory");
}

fn file_of_nothing() -> File {
    file([0, 0, 0, 0, 0, 0, 0, 0, 1], &[])
}

#[test]
fn an_empty_census_knows_nothing() {
    let census = read(file_of_nothing()).unwrap();
    assert_eq!((census.objects(), census.at(0), census.at(u64::MAX)), (0, None, None));
    assert_eq!((census.node(0), census.type_name(0), census.type_address(0)), (None, String::new(), None));
    assert!(!census.is_type(0));
}

#[test]
fn noise_is_read_without_harm_and_paths_end() {
    for seed in 1..20 {
        let mut text = noise(1 << 16, seed ^ 4);
        text.resize(1 << 16, b'x');
        let parts: [(usize, &[u8]); 4] = [
            (TYPES_AT, &noise(64 * 1000, seed)),
            (NODES_AT, &noise(16 * 1000, seed ^ 1)),
            (OBJECTS_AT, &noise(16 * 1000, seed ^ 2)),
            (TEXT_AT, &text),
        ];
        let census = read(file([1 << 16, 1 << 20, 1 << 20, 1 << 26, 1 << 27, 9, 9, 9, 9], &parts)).unwrap();
        for address in noise(8 * 1000, seed ^ 3).chunks(8) {
            let address = u64::from_ne_bytes(address.try_into().unwrap());
            for address in [address, address >> 16, address >> 40] {
                let _entry = census.at(address);
                let _known = census.is_type(address);
            }
        }
        for index in (0..1000).chain([u32::MAX, 1 << 20, (1 << 20) - 1]) {
            assert!(census.type_name(index).len() <= 6 * 1024);
            let mut at = Some(index);
            let mut steps = 0;
            while let Some((above, label)) = at.and_then(|at| census.node(at)) {
                assert!(label.chars().all(|character| !character.is_control()));
                assert!(above.is_none_or(|above| Some(above) < at), "steps above come first");
                (at, steps) = (above, steps + 1);
            }
            assert!(steps <= 1001);
        }
    }
}

#[test]
fn the_innermost_of_nested_objects_is_found() {
    use forkprint::agent::wire::CensusObject;
    use forkprint::cpython::census::Kind;
    let list = |start, size| (start, size);
    let objects = [list(0x1000_u64, 0x100_u64), list(0x1040, 0x10), list(0x1060, 8), list(0x2000, 16)];
    let bytes: Vec<u8> = objects
        .iter()
        .flat_map(|&(start, size)| {
            let kind = u64::from(CensusObject::ITEMS);
            [start << 16, size | kind << 52].into_iter().flat_map(u64::to_ne_bytes)
        })
        .collect();
    let census = read(file([0, 0, 0, 0, 4, 0, 0, 0, 1], &[(OBJECTS_AT, &bytes)])).unwrap();
    let start = |address| census.at(address).map(|entry| (entry.kind, entry.start));
    assert_eq!(start(0xfff), None);
    assert_eq!(start(0x1000), Some((Kind::Items, 0x1000)));
    assert_eq!(start(0x1047), Some((Kind::Items, 0x1040)));
    assert_eq!(start(0x1050), Some((Kind::Items, 0x1000)));
    assert_eq!(start(0x1067), Some((Kind::Items, 0x1060)));
    assert_eq!(start(0x10ff), Some((Kind::Items, 0x1000)));
    assert_eq!(start(0x1100), None);
    assert_eq!(start(0x200f), Some((Kind::Items, 0x2000)));
    assert_eq!(start(0x2010), None);
}
