//! The objects seen so far: a bit for every sixteen bytes of memory in which objects stand.
//!
//! No object is smaller, so no two share a bit. Chunks of one MiB hang in a directory of two levels.
//! Each knows which of its pages were written, and which of its objects still are to be followed, where
//! the stack had no room for them.

use super::memory::Memory;

const CHUNK_SHIFT: u32 = 20;
const WORDS: usize = 1 << (CHUNK_SHIFT - 4 - 6);
const PAGE_WORDS: usize = 1 << (CHUNK_SHIFT - 12 - 6);
/// Chunks of one entry of the first level.
const FAN_SHIFT: u32 = 14;
const FAN: usize = 1 << FAN_SHIFT;
/// Bits of an address of user space: 47 on x86-64, 48 on arm64.
const ADDRESS_BITS: u32 = 48;
const TOP: usize = 1 << (ADDRESS_BITS - FAN_SHIFT - CHUNK_SHIFT);

#[repr(C)]
struct Chunk {
    bits: [u64; WORDS],
    written: [u64; PAGE_WORDS],
    /// Null, or as many words as `bits` has.
    postponed: *mut u64,
    postponed_count: u64,
    base: u64,
    next: *mut Chunk,
}

/// A set of addresses.
pub struct Seen {
    top: *mut *mut *mut Chunk,
    chunks: *mut Chunk,
    last: *mut Chunk,
    /// The part of the address that the last chunk has in common.
    last_number: u64,
    postponed: u64,
}

impl Seen {
    pub fn new(memory: &mut Memory) -> Option<Self> {
        let top = memory.mapping(TOP * size_of::<usize>())?.cast();
        let none = core::ptr::null_mut();
        Some(Self { top, chunks: none, last: none, last_number: u64::MAX, postponed: 0 })
    }

    /// Adds an address. False when it was there; None for lack of memory.
    #[inline]
    pub fn add(&mut self, address: u64, memory: &mut Memory) -> Option<bool> {
        let chunk = self.chunk(address, memory)?;
        let (word, bit) = within(address);
        // SAFETY: chunks live as long as the memory, and this is the only reference.
        let word = unsafe { &mut (*chunk).bits[word] };
        let is_new = *word & bit == 0;
        *word |= bit;
        Some(is_new)
    }

    /// Whether an address was added.
    pub fn has(&self, address: u64) -> bool {
        let number = address >> CHUNK_SHIFT;
        let (high, low) = ((number >> FAN_SHIFT) as usize, number as usize % FAN);
        let (word, bit) = within(address);
        // SAFETY: both levels are as long as their indices allow, and zero means that nothing is there.
        unsafe {
            let level = if high < TOP { *self.top.add(high) } else { core::ptr::null_mut() };
            let chunk = if level.is_null() { core::ptr::null_mut() } else { *level.add(low) };
            !chunk.is_null() && (*chunk).bits[word] & bit != 0
        }
    }

    /// Notes that the page of an address was written. The address, or one on the same page, was added.
    #[inline]
    pub fn written(&mut self, address: u64, memory: &mut Memory) {
        if let Some(chunk) = self.chunk(address, memory) {
            let page = (address >> 12) as usize % (PAGE_WORDS * 64);
            // SAFETY: chunks live as long as the memory, and this is the only reference.
            unsafe { (*chunk).written[page / 64] |= 1 << (page % 64) };
        }
    }

    /// Pages that were written.
    pub fn pages_written(&self) -> u64 {
        let (mut chunk, mut pages) = (self.chunks, 0);
        while !chunk.is_null() {
            // SAFETY: chunks live as long as the memory.
            let each = unsafe { &*chunk };
            pages += each.written.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
            chunk = each.next;
        }
        pages
    }

    /// Remembers an address, a multiple of sixteen, that is to be followed later.
    pub fn postpone(&mut self, address: u64, memory: &mut Memory) -> Option<()> {
        let chunk = self.chunk(address, memory)?;
        let (word, bit) = within(address);
        // SAFETY: chunks live as long as the memory, and this is the only reference.
        unsafe {
            if (*chunk).postponed.is_null() {
                (*chunk).postponed = memory.piece(WORDS * size_of::<u64>())?.cast();
            }
            *(*chunk).postponed.add(word) |= bit;
            (*chunk).postponed_count += 1;
        }
        self.postponed += 1;
        Some(())
    }

    /// Hands some of the addresses that were postponed to `each`. False: there are none.
    pub fn resume(&mut self, mut each: impl FnMut(u64)) -> bool {
        if self.postponed == 0 {
            return false;
        }
        let mut at = self.chunks;
        while !at.is_null() {
            // SAFETY: chunks live as long as the memory, and this is the only reference.
            let chunk = unsafe { &mut *at };
            if chunk.postponed_count > 0 {
                for index in 0..WORDS {
                    // SAFETY: a chunk with a count has such words.
                    let word = unsafe { &mut *chunk.postponed.add(index) };
                    if *word != 0 {
                        let bits = core::mem::take(word);
                        chunk.postponed_count -= u64::from(bits.count_ones());
                        self.postponed -= u64::from(bits.count_ones());
                        (0..64)
                            .filter(|bit| bits & 1 << bit != 0)
                            .for_each(|bit| each(chunk.base + (index as u64 * 64 + bit) * 16));
                        return true;
                    }
                }
            }
            at = chunk.next;
        }
        false
    }

    #[inline]
    fn chunk(&mut self, address: u64, memory: &mut Memory) -> Option<*mut Chunk> {
        let number = address >> CHUNK_SHIFT;
        if number != self.last_number {
            self.last = self.find(address, memory)?;
            self.last_number = number;
        }
        Some(self.last)
    }

    fn find(&mut self, address: u64, memory: &mut Memory) -> Option<*mut Chunk> {
        let number = address >> CHUNK_SHIFT;
        let (high, low) = ((number >> FAN_SHIFT) as usize, number as usize % FAN);
        if high >= TOP {
            return None;
        }
        // SAFETY: both levels are as long as their indices allow, and zero means that nothing is there.
        unsafe {
            let level = self.top.add(high);
            if (*level).is_null() {
                *level = memory.mapping(FAN * size_of::<usize>())?.cast();
            }
            let place = (*level).add(low);
            if (*place).is_null() {
                let chunk: *mut Chunk = memory.piece(size_of::<Chunk>())?.cast();
                (*chunk).base = number << CHUNK_SHIFT;
                (*chunk).next = self.chunks;
                self.chunks = chunk;
                *place = chunk;
            }
            Some(*place)
        }
    }
}

/// The word of a chunk and the bit in it.
#[inline]
const fn within(address: u64) -> (usize, u64) {
    let bit = (address >> 4) as usize % (WORDS * 64);
    (bit / 64, 1 << (bit % 64))
}
