//! Used blocks of pymalloc in which nothing lives, and no object can be seen: what waits there to be
//! used again has no reference, and no type either.

use crate::cpython::dicts::keys_bytes;
use crate::cpython::memory::Memory;
use crate::cpython::offsets::Offsets;

/// Floats that wait are at most so many (`PyFloat_MAXFREELIST`), with room to spare.
const MAX_FLOATS: usize = 128;
/// Smallest keys have so many bytes of hash table, and so much room (`PyDict_MINSIZE`).
const SMALLEST_TABLE: u64 = 8;
const SMALLEST_ROOM: u64 = 5;

/// Whether a used block of `size` bytes at `start` waits in a free list of floats, which are linked
/// through their types (`Objects/floatobject.c`), or of the smallest keys of dicts, which stay as they
/// are (`free_keys_object`, `Objects/dictobject.c`). The last float of the list cannot be told from zeroes.
pub(super) fn waits_for_use(memory: &dyn Memory, offsets: &Offsets, (start, size): (u64, u64)) -> bool {
    if memory.word(start) != Some(0) {
        return false;
    }
    let holds = |bytes: u64| bytes.next_multiple_of(16) == size;
    if holds(u64::from(offsets.structs.float.size)) {
        return linked(memory, start);
    }
    let forms = [16, 24].map(|entry| offsets.dicts.table + SMALLEST_TABLE + SMALLEST_ROOM * entry);
    keys_bytes(memory, offsets, start).is_some_and(|bytes| holds(bytes) && forms.contains(&bytes))
}

/// Whether a chain of blocks without references goes on behind this one, and ends.
fn linked(memory: &dyn Memory, start: u64) -> bool {
    let mut block = start;
    for length in 0..MAX_FLOATS {
        match block.checked_add(8).and_then(|at| memory.word(at)) {
            Some(0) => return length > 0,
            Some(next) if next % 16 == 0 && memory.word(next) == Some(0) => block = next,
            _ => return false,
        }
    }
    false
}
