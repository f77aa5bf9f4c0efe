//! The addresses seen so far: a bit for every eight bytes, in chunks of one MiB.
//!
//! Objects that were made together stand together, so the bits that a walk looks at do too; and the
//! number of bits below an address is its place in the order of all addresses.

use super::memory::zeroed;
use super::table::mix;

const CHUNK_SHIFT: u32 = 20;
const WORDS: usize = 1 << (CHUNK_SHIFT - 3 - 6);
/// Words of which the bits are counted together: one line of the cache.
const BLOCK: usize = 8;
/// Chunks that are mapped at once.
const AT_ONCE: usize = 64;

#[repr(C)]
struct Chunk {
    bits: [u64; WORDS],
    /// For each block, how many bits are set below it, in lower chunks too.
    below: [u32; WORDS / BLOCK],
}

/// An entry of the directory.
#[derive(Clone, Copy)]
struct Place {
    /// The part of the address that its chunk has in common.
    number: u64,
    /// Null while the entry is free.
    chunk: *mut Chunk,
}

/// A set of addresses, all multiples of eight.
pub struct Seen {
    directory: *mut Place,
    /// Entries of the directory, a power of two.
    room: usize,
    used: usize,
    spare: *mut Chunk,
    spares: usize,
}

impl Seen {
    pub fn new() -> Option<Self> {
        let (room, spare) = (1 << 12, core::ptr::null_mut());
        Some(Self { directory: zeroed(room * size_of::<Place>())?.cast(), room, used: 0, spare, spares: 0 })
    }

    /// Whether an address can be added.
    pub fn is_new(&self, address: u64) -> bool {
        let chunk = self.place(address >> CHUNK_SHIFT).chunk;
        let (word, bit) = within(address);
        // SAFETY: chunks live as long as the process; the word lies within.
        address & 7 == 0 && (chunk.is_null() || unsafe { (*chunk).bits[word] } & bit == 0)
    }

    /// Adds an address; false when it was there, when it is no multiple of eight, or for lack of memory.
    pub fn add(&mut self, address: u64) -> bool {
        let Some(chunk) = self.chunk(address >> CHUNK_SHIFT) else { return false };
        let (word, bit) = within(address);
        // SAFETY: chunks live as long as the process, and this is the only reference.
        let word = unsafe { &mut (*chunk).bits[word] };
        let is_new = *word & bit == 0 && address & 7 == 0;
        *word |= if is_new { bit } else { 0 };
        is_new
    }

    /// Counts the bits, for [`Self::rank`]. Returns how many addresses there are.
    pub fn count(&mut self) -> Option<u64> {
        let sorted: *mut Place = zeroed(self.room * size_of::<Place>())?.cast();
        // SAFETY: both as long as the directory, and apart.
        let sorted = unsafe {
            core::ptr::copy_nonoverlapping(self.directory, sorted, self.room);
            core::slice::from_raw_parts_mut(sorted, self.room)
        };
        sorted.sort_unstable_by_key(|place| if place.chunk.is_null() { u64::MAX } else { place.number });
        let mut count = 0;
        for place in sorted.iter().filter(|place| !place.chunk.is_null()) {
            // SAFETY: chunks live as long as the process, and this is the only reference.
            let chunk = unsafe { &mut *place.chunk };
            for (block, below) in chunk.bits.chunks_exact(BLOCK).zip(&mut chunk.below) {
                *below = count;
                count += block.iter().map(|word| word.count_ones()).sum::<u32>();
            }
        }
        Some(u64::from(count))
    }

    /// How many addresses are lower than this one, which must be there. For use behind [`Self::count`].
    pub fn rank(&self, address: u64) -> u32 {
        let chunk = self.place(address >> CHUNK_SHIFT).chunk;
        if chunk.is_null() {
            return u32::MAX;
        }
        // SAFETY: chunks live as long as the process.
        let chunk = unsafe { &*chunk };
        let (word, bit) = within(address);
        let block = word / BLOCK;
        let whole = chunk.bits[block * BLOCK..word].iter().map(|word| word.count_ones()).sum::<u32>();
        chunk.below[block] + whole + (chunk.bits[word] & (bit - 1)).count_ones()
    }

    /// The entry of a chunk, or the free one where it belongs.
    fn place(&self, number: u64) -> &'static mut Place {
        let mut at = (mix(number) >> 32) as usize;
        loop {
            // SAFETY: within the directory, of which a part is always free; one reference at a time.
            let place = unsafe { &mut *self.directory.add(at & (self.room - 1)) };
            if place.number == number || place.chunk.is_null() {
                return place;
            }
            at += 1;
        }
    }

    fn chunk(&mut self, number: u64) -> Option<*mut Chunk> {
        let found = self.place(number);
        if !found.chunk.is_null() {
            return Some(found.chunk);
        }
        if self.spares == 0 {
            (self.spare, self.spares) = (zeroed(AT_ONCE * size_of::<Chunk>())?.cast(), AT_ONCE);
        }
        if self.used * 2 > self.room {
            self.grow()?;
        }
        let chunk = self.spare;
        *self.place(number) = Place { number, chunk };
        self.used += 1;
        self.spares -= 1;
        // SAFETY: within the chunks that were mapped, or at their end.
        self.spare = unsafe { self.spare.add(1) };
        Some(chunk)
    }

    fn grow(&mut self) -> Option<()> {
        let room = self.room;
        let larger = zeroed(2 * room * size_of::<Place>())?.cast();
        let smaller = core::mem::replace(&mut self.directory, larger);
        self.room = 2 * room;
        for index in 0..room {
            // SAFETY: within the directory as it was.
            let place = unsafe { *smaller.add(index) };
            if !place.chunk.is_null() {
                *self.place(place.number) = place;
            }
        }
        Some(())
    }
}

/// The word of a chunk and the bit in it.
const fn within(address: u64) -> (usize, u64) {
    let bit = (address >> 3) as usize & (WORDS * 64 - 1);
    (bit / 64, 1 << (bit % 64))
}
