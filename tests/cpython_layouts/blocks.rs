//! Blocks of pymalloc, against where the interpreter says its objects are.

use crate::interpreters::{every_interpreter, number};
use forkprint::cpython::blocks::{Block, Pools};

#[test]
fn a_small_object_begins_behind_its_headers_in_a_used_block() {
    for target in every_interpreter(include_str!("blocks.py")) {
        let mut pools = Pools::new(target.offsets.version);
        let (mut checked, mut elsewhere) = (0, 0);
        for told in target.list("objects") {
            let (name, object, headers) = (&told[0], number(&told[1]), number(&told[2]));
            match pools.block_of(&target.memory, object) {
                Some(Block::Used { start, size }) => {
                    assert_eq!(start + headers, object, "{}: {name}", target.name);
                    assert!(size <= 512);
                    checked += 1;
                }
                None => elsewhere += 1,
                Some(other) => panic!("{}: {name} at {object:#x} is in {other:?}", target.name),
            }
        }
        println!("{}: {checked} objects in blocks, {elsewhere} elsewhere", target.name);
        assert!(checked > 30_000 && elsewhere < 20, "{}: {checked}, {elsewhere}", target.name);
    }
}

#[test]
fn objects_that_were_deleted_leave_free_blocks() {
    for target in every_interpreter(include_str!("blocks.py")) {
        let mut pools = Pools::new(target.offsets.version);
        let freed: Vec<u64> = target.list("freed").iter().map(number).collect();
        let (mut free, mut gone) = (0, 0);
        for object in &freed {
            match pools.block_of(&target.memory, *object) {
                Some(Block::Free { .. }) => free += 1,
                // With its last object, an arena is given back to the kernel.
                None => gone += 1,
                Some(Block::Header | Block::Used { .. }) => {}
            }
        }
        let all = freed.len();
        println!("{}: of {all} blocks, {free} are free and {gone} gone", target.name);
        assert!(all > 15_000 && free > 1000 && free + gone > all - all / 100, "{}", target.name);
    }
}
