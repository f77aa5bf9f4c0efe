//! The memory in which `CPython` 3.11 and later keeps the frames of a thread: chunks with mappings of
//! their own (`_PyStackChunk` in `Include/cpython/pystate.h`, `push_chunk` in `Python/pystate.c`).

use crate::cpython::memory::Memory;
use crate::cpython::offsets::Offsets;
use crate::family::Vma;
use crate::units::PAGE_SIZE;

/// `DATA_STACK_CHUNK_SIZE`, in bytes. It is doubled until the first frame fits.
const LEAST_CHUNK: u64 = 16 << 10;
/// Chunks larger than this are not looked for: nobody has such a frame.
const GREATEST_CHUNK: u64 = 64 << 10;
/// Offsets in a chunk: `size` in bytes; `top`, in words; the frames.
const SIZE: u64 = 8;
const TOP: u64 = 16;
const DATA: u64 = 24;
/// Most chunks of one thread that are followed.
const MAX_CHUNKS: usize = 256;

/// Whether an address in an anonymous area is in a chunk of frames. `is_code` says whether a code
/// object is at an address: the first chunk of a thread begins with a frame that runs one.
pub(super) fn contain(
    memory: &dyn Memory,
    offsets: &Offsets,
    area: &Vma,
    address: u64,
    is_code: &mut dyn FnMut(u64) -> bool,
) -> bool {
    if !offsets.at_least(11) {
        return false;
    }
    let page = address - address % PAGE_SIZE;
    let lowest = area.start.address().max(page.saturating_sub(GREATEST_CHUNK));
    let starts = std::iter::successors(Some(page), |start| start.checked_sub(PAGE_SIZE));
    let chunk = starts
        .take_while(|start| *start >= lowest)
        .find(|start| chunk_bytes(memory, *start).is_some_and(|size| address - start < size));
    chunk.and_then(|chunk| first_code(memory, offsets, chunk)).is_some_and(is_code)
}

/// The size of the chunk at an address, if its header can be one.
fn chunk_bytes(memory: &dyn Memory, chunk: u64) -> Option<u64> {
    let (previous, size) = (memory.word(chunk)?, memory.word(chunk + SIZE)?);
    let sized = size.is_power_of_two() && (LEAST_CHUNK..=GREATEST_CHUNK).contains(&size);
    let fits = previous.is_multiple_of(PAGE_SIZE) && memory.word(chunk + TOP)? <= size / 8;
    (sized && fits).then_some(size)
}

/// The code of the first frame of the thread that a chunk belongs to. The first chunk leaves a word
/// free, so that its end is never taken for its beginning.
fn first_code(memory: &dyn Memory, offsets: &Offsets, chunk: u64) -> Option<u64> {
    let mut chunk = chunk;
    for _ in 0..MAX_CHUNKS {
        chunk_bytes(memory, chunk)?;
        match memory.word(chunk)? {
            0 => return memory.word(chunk + DATA + 8 + u64::from(offsets.frames.code)),
            previous => chunk = previous,
        }
    }
    None
}
