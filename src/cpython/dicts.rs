//! Reads the entries of dicts, and the attribute names that instances of a type share.
//!
//! A keys object (`Objects/dict-common.h`; 3.11+ `Include/internal/pycore_dict.h`) is a header, a hash
//! table of indices, and the entries in the order of their insertion.

use super::memory::Memory;
use super::offsets::Offsets;
use super::strings::read_str;
use super::types::Attributes;

/// Dicts of more entries are read up to there: namespaces are smaller, and the count may be hostile.
const MAX_ENTRIES: u64 = 1 << 14;
/// So many attributes that instances share are named.
const MAX_NAMES: usize = 256;
/// `DICT_KEYS_GENERAL`: the entries begin with the hash of their key.
const GENERAL: u8 = 0;

/// One entry: addresses of two objects. A key of zero: deleted, or not inserted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: u64,
    /// Its value; zero in keys that instances share.
    pub value: u64,
}

/// The entries of the keys object at an address, with the holes of deleted ones.
pub fn entries(memory: &dyn Memory, offsets: &Offsets, keys: u64) -> Option<Vec<Entry>> {
    let layout = &offsets.dicts;
    let count = memory.word(keys.checked_add(layout.nentries)?)?.min(MAX_ENTRIES);
    let start = keys.checked_add(layout.table)?.checked_add(index_bytes(memory, offsets, keys)?)?;
    let (key_at, size) = entry_form(memory, offsets, keys)?;
    let bytes = memory.bytes(start, usize::try_from(count).ok()?.checked_mul(size)?)?;
    let word = |entry: &[u8], at: usize| {
        entry.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
    };
    bytes
        .chunks_exact(size)
        .map(|entry| Some(Entry { key: word(entry, key_at)?, value: word(entry, key_at + 8)? }))
        .collect()
}

/// Bytes of the hash table: up to 3.10 from its size, later as stored.
fn index_bytes(memory: &dyn Memory, offsets: &Offsets, keys: u64) -> Option<u64> {
    let at = keys.checked_add(offsets.dicts.index)?;
    if offsets.dicts.kind.is_some() {
        return memory.byte(at).and_then(|log2| 1_u64.checked_shl(log2.into()));
    }
    let size = memory.word(at)?;
    let width = match size {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    };
    size.checked_mul(width)
}

/// Bytes of the keys object at an address: header, hash table, and room for entries.
pub fn keys_bytes(memory: &dyn Memory, offsets: &Offsets, keys: u64) -> Option<u64> {
    let layout = &offsets.dicts;
    let count = |at: u64| keys.checked_add(at).and_then(|at| memory.word(at));
    let room = count(layout.usable)?.checked_add(count(layout.nentries)?)?;
    let (_, entry) = entry_form(memory, offsets, keys)?;
    let table = index_bytes(memory, offsets, keys)?;
    room.checked_mul(entry as u64)?.checked_add(table)?.checked_add(layout.table)
}

/// Where an entry has its key, and the bytes of an entry.
fn entry_form(memory: &dyn Memory, offsets: &Offsets, keys: u64) -> Option<(usize, usize)> {
    let kind = offsets.dicts.kind.map_or(Some(GENERAL), |at| memory.byte(keys.wrapping_add(at)))?;
    Some(if kind == GENERAL { (8, 24) } else { (0, 16) })
}

/// The value that a dict (not one that shares its keys) has for a name.
pub fn get(memory: &dyn Memory, offsets: &Offsets, dict: u64, name: &str) -> Option<u64> {
    let keys = memory.word(dict.checked_add(offsets.dicts.keys)?)?;
    let found = entries(memory, offsets, keys)?
        .into_iter()
        .find(|entry| entry.key != 0 && read_str(memory, offsets, entry.key).as_deref() == Some(name))?;
    (found.value != 0).then_some(found.value)
}

/// The attribute names in keys that instances share.
pub fn shared_names(memory: &dyn Memory, offsets: &Offsets, keys: u64) -> Option<Attributes> {
    let entries = entries(memory, offsets, keys)?;
    let usable = memory.word(keys.checked_add(offsets.dicts.usable)?)?.min(MAX_ENTRIES);
    let room = usable + entries.len() as u64;
    let name = |entry: Entry| read_str(memory, offsets, entry.key).unwrap_or_default();
    Some(Attributes { names: entries.into_iter().take(MAX_NAMES).map(name).collect(), room })
}
