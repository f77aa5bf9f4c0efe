//! The census as it is handed over: arrays in one memfd, of which only what is used is ever touched.

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
        let fd = unsafe { sys::memfd_create(c"forkprint-census".as_ptr(), sys::MFD_CLOEXEC) };
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

    /// The types so far.
    pub fn types(&self) -> &mut [CensusType] {
        // SAFETY: so many entries were written.
        unsafe { core::slice::from_raw_parts_mut(self.0.add(TYPES_AT).cast(), self.header().types as usize) }
    }

    /// The nodes so far.
    pub fn nodes(&self) -> &mut [CensusNode] {
        // SAFETY: so many entries were written.
        unsafe { core::slice::from_raw_parts_mut(self.0.add(NODES_AT).cast(), self.header().nodes as usize) }
    }

    /// The objects so far.
    pub fn objects(&self) -> &mut [CensusObject] {
        let count = self.header().objects as usize;
        // SAFETY: so many entries were written.
        unsafe { core::slice::from_raw_parts_mut(self.0.add(OBJECTS_AT).cast(), count) }
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

    /// Adds an object or buffer.
    pub fn push_object(&self, entry: CensusObject) -> Option<u32> {
        let added = self.push(OBJECTS_AT, MOST_OBJECTS, &mut self.header().objects, entry);
        self.header().dropped += u64::from(added.is_none());
        added
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

    /// Puts the objects in the order of their addresses, and says that it is whole.
    pub fn finish(&self, unreachable: u64, begun: u64) {
        let types = self.types();
        for object in self.objects().iter_mut().filter(|object| object.kind == CensusObject::OBJECT) {
            let prefix = types.get(object.ty as usize).map_or(0, |ty| ty.prefix);
            object.start -= u64::from(prefix);
            object.size = object.size.saturating_add(prefix);
        }
        self.objects().sort_unstable_by_key(|object| object.start);
        let header = self.header();
        header.unreachable = unreachable;
        header.nanos = sys::monotonic_nanos() - begun;
        // The process ends behind this, which is when the supervisor looks.
        header.done = 1;
    }
}

/// Memory of our own that grows by doubling: the address of a mapping, and how many entries it holds.
pub struct Slots {
    at: *mut u32,
    /// A power of two.
    pub count: usize,
}

/// A free slot.
pub const FREE: u32 = u32::MAX;

impl Slots {
    /// So many free slots, a power of two.
    pub fn new(count: usize) -> Option<Self> {
        let at: *mut u32 = sys::map_shared(count * size_of::<u32>(), -1)?.cast();
        // SAFETY: the whole mapping; all ones is [`FREE`].
        unsafe { core::ptr::write_bytes(at.cast::<u8>(), 0xff, count * size_of::<u32>()) };
        Some(Self { at, count })
    }

    /// The slots of a hash, from its own place on.
    pub fn probe(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.count - 1;
        let first = (hash >> 20) as usize;
        (0..self.count).map(move |step| first + step & mask)
    }

    pub fn get(&self, slot: usize) -> u32 {
        // SAFETY: `probe` gives places within the mapping.
        unsafe { *self.at.add(slot) }
    }

    pub fn set(&mut self, slot: usize, value: u32) {
        // SAFETY: `probe` gives places within the mapping.
        unsafe { *self.at.add(slot) = value }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // SAFETY: our own mapping; no reference into it is kept.
        unsafe { sys::munmap(self.at.cast(), self.count * size_of::<u32>()) };
    }
}

/// Spreads the bits of a number.
pub const fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (word ^ word >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93)
}
