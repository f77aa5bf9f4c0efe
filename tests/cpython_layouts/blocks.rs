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
