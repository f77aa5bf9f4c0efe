//! The keys that instances of one type share (`ht_cached_keys`).

use crate::cpython::census::Census;
use crate::cpython::dicts::keys_bytes;
use crate::cpython::memory::Memory;
use crate::cpython::offsets::Offsets;
use crate::cpython::types::TypeFlags;

/// The shared keys of all types of a census, ascending.
pub(super) struct SharedKeys(Vec<Keys>);

/// One keys object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keys {
    pub start: u64,
    pub end: u64,
    /// The type whose instances share it.
    pub ty: u64,
}

impl SharedKeys {
    pub fn of_types(memory: &dyn Memory, offsets: &Offsets, census: &Census) -> Self {
        let types = (0..census.counts().types).filter_map(|index| {
            let ty = census.type_address(u32::try_from(index).ok()?)?;
            TypeFlags::read(memory, offsets, ty)?.heap_type().then_some(())?;
            let start = memory.word(ty.checked_add(offsets.types.cached_keys)?)?;
            let bytes = keys_bytes(memory, offsets, start).filter(|_| start != 0)?;
            Some(Keys { start, end: start.checked_add(bytes)?, ty })
        });
        let mut keys: Vec<Keys> = types.collect();
        keys.sort_unstable_by_key(|keys| keys.start);
        Self(keys)
    }

    /// Those at an address.
    pub fn at(&self, address: u64) -> Option<Keys> {
        let after = self.0.partition_point(|keys| keys.start <= address);
        self.0[..after].last().filter(|keys| address < keys.end).copied()
    }
}
