//! The census as it is handed over: arrays in one memfd, of which only what is used is ever touched.

use super::memory::zeroed;
use crate::sys;
use crate::wire::{
    CENSUS_BYTES, CENSUS_MAGIC, CensusHeader, CensusName, CensusNode, CensusObject, CensusType, MOST_NAMES,
    MOST_NODES, MOST_OBJECTS, MOST_TEXT, MOST_TYPES, NAMES_AT, NODES_AT, OBJECTS_AT, TEXT_AT, TYPES_AT,
};

/// A mapped census. Copies refer to the same memory; only one thread of one process writes.
#[derive(Clone, Copy)]
pub struct Census(*mut u8);

impl Census {
    /// Makes an empty one. Returns it and its descriptor.
    pub fn create() -> Option<(Self, i32)> {
        // SAFETY: the name ends in NUL.
        let fd = unsafe { sys::memfd_create(c"forkprint-census".as_ptr(), sys::MFD_SEALABLE) };
        if fd < 0 {
            return None;
        }
        // SAFETY: a descriptor of ours.
        if unsafe { sys::ftruncate(fd, CENSUS_BYTES as i64) } == 0
            && let Some(at) = sys::map_shared(CENSUS_BYTES, fd)
        {
            let census = Self(at);
            census.header().magic = CENSUS_MAGIC;
            return Some((census, fd));
        }
        // SAFETY: a descriptor of ours that nobody else knows.
        unsafe { sys::close(fd) };
        None
    }

    /// Unmaps it.
    pub fn discard(self) {
        // SAFETY: our own mapping; no reference into it is kept.
        unsafe { sys::munmap(self.0.cast(), CENSUS_BYTES) };
    }

    /// The counts.
    #[allow(clippy::mut_from_ref)]
    pub fn header(&self) -> &mut CensusHeader {
        // SAFETY: the first page of the mapping; callers use one reference at a time.
        unsafe { &mut *self.0.cast() }
    }

    /// The nodes so far.
    pub fn nodes(&self) -> &mut [CensusNode] {
        // SAFETY: so many entries were written.
        unsafe { core::slice::from_raw_parts_mut(self.0.add(NODES_AT).cast(), self.header().nodes as usize) }
    }

    /// The names so far.
    pub fn names(&self) -> &[CensusName] {
        // SAFETY: so many entries were written.
        unsafe { core::slice::from_raw_parts(self.0.add(NAMES_AT).cast(), self.header().names as usize) }
    }

    /// The bytes of a name or label: they never change, and the child that asks never unmaps them.
    pub fn text<'a>(&self, at: u32, len: usize) -> &'a [u8] {
        // SAFETY: places in the text are those that `push_text` gave.
        unsafe { core::slice::from_raw_parts(self.0.add(TEXT_AT + at as usize), len) }
    }

    /// Adds a type.
    pub fn push_type(&self, entry: CensusType) -> Option<u32> {
        self.push(TYPES_AT, MOST_TYPES, &mut self.header().types, entry)
    }

    /// Adds a name.
    pub fn push_name(&self, entry: CensusName) -> Option<u32> {
        self.push(NAMES_AT, MOST_NAMES, &mut self.header().names, entry)
    }

    /// Adds a node.
    pub fn push_node(&self, entry: CensusNode) -> Option<u32> {
        self.push(NODES_AT, MOST_NODES, &mut self.header().nodes, entry)
    }

    /// Adds text; returns where it begins.
    pub fn push_text(&self, parts: &[&[u8]]) -> Option<u32> {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let at = self.header().text as usize;
        if at + bytes > MOST_TEXT {
            return None;
        }
        let mut to = at;
        for part in parts {
            // SAFETY: within the text.
            unsafe { core::ptr::copy_nonoverlapping(part.as_ptr(), self.0.add(TEXT_AT + to), part.len()) };
            to += part.len();
        }
        self.header().text = to as u64;
        Some(at as u32)
    }

    fn push<T>(&self, part: usize, most: usize, count: &mut u64, entry: T) -> Option<u32> {
        let index = *count as usize;
        if index >= most {
            return None;
        }
        // SAFETY: below the length of the part.
        unsafe { self.0.add(part).cast::<T>().add(index).write(entry) };
        *count += 1;
        Some(index as u32)
    }

    /// Room for so many objects, all zero.
    pub fn objects(&self, count: usize) -> Option<&mut [CensusObject]> {
        if count > MOST_OBJECTS {
            return None;
        }
        // SAFETY: the last part of the mapping; nobody else refers to it.
        unsafe {
            let at = self.0.add(OBJECTS_AT);
            sys::populate(at, count * size_of::<CensusObject>());
            Some(core::slice::from_raw_parts_mut(at.cast(), count))
        }
    }

    /// Says that it is whole: the process ends behind this, which is when the supervisor looks.
    pub fn finish(&self, objects: u64, unreachable: u64, dropped: u64, begun: u64) {
        let header = self.header();
        (header.objects, header.unreachable, header.dropped) = (objects, unreachable, dropped);
        header.nanos = sys::monotonic_nanos() - begun;
        header.done = 1;
    }
}

/// A hash table of indices, of a fixed size. Its memory is never given back: the child ends soon.
pub struct Slots {
    at: *mut u32,
    count: usize,
}

impl Slots {
    /// So many free slots, a power of two.
    pub fn new(count: usize) -> Option<Self> {
        Some(Self { at: zeroed(count * size_of::<u32>())?.cast(), count })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The slots of a hash, from its own place on.
    pub fn probe(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.count - 1;
        let first = (hash >> 20) as usize;
        (0..self.count).map(move |step| first + step & mask)
    }

    /// The index in a slot; none while it is free.
    pub fn get(&self, slot: usize) -> Option<u32> {
        // SAFETY: `probe` gives places within the mapping.
        unsafe { *self.at.add(slot) }.checked_sub(1)
    }

    /// Fills a slot.
    pub fn set(&mut self, slot: usize, index: u32) {
        // SAFETY: `probe` gives places within the mapping.
        unsafe { *self.at.add(slot) = index + 1 }
    }
}

/// Spreads the bits of a number.
pub const fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (word ^ word >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93)
}
