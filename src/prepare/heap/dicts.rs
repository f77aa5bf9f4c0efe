//! The entries of dicts, read without a call: the parts of `PyDictObject` are the same in 3.9 to 3.13
//! but for keys and values (`Include/internal/pycore_dict.h`, before 3.11 `Objects/dict-common.h`).

use super::layout::{DICT_KEYS, DICT_VALUES, word};
use super::system::prefetch;

/// Entries ahead whose values are asked for.
const AHEAD: u64 = 8;

/// The keys of a dict (`PyDictKeysObject`).
#[derive(Clone, Copy)]
pub struct Keys {
    pub at: u64,
    /// Where the entries begin.
    entries: u64,
    /// Bytes of an entry; the key is its first word, or the second behind a hash.
    entry_bytes: u64,
    /// Entries in use, deleted ones too.
    pub count: u64,
    /// Entries for which there is room.
    pub room: u64,
    /// Entries that may come to be used: `dk_usable` and those in use.
    pub usable: u64,
    /// Bytes of all.
    pub bytes: u64,
}

impl Keys {
    /// # Safety
    ///
    /// `at` must be the keys of a dict or type of this version.
    pub unsafe fn read(at: u64, minor: u32) -> Self {
        // SAFETY: promised by the caller.
        unsafe {
            let (entries, entry_bytes, size, usable, count) = if minor < 11 {
                let size = word(at, 8);
                let index_bytes = match size {
                    0..=0xff => 1,
                    0x100..=0xffff => 2,
                    0x1_0000..=0xffff_ffff => 4,
                    _ => 8,
                };
                (at + 40 + size * index_bytes, 24, size, word(at, 24), word(at, 32))
            } else {
                let packed = word(at, 8);
                let (log_size, log_bytes, kind) = (packed & 0xff, packed >> 8 & 0xff, packed >> 16 & 0xff);
                let entry_bytes = if kind == 0 { 24 } else { 16 };
                (
                    at + 32 + (1 << (log_bytes & 63)),
                    entry_bytes,
                    1 << (log_size & 63),
                    word(at, 16),
                    word(at, 24),
                )
            };
            // USABLE_FRACTION.
            let room = size * 2 / 3;
            let bytes = entries - at + room * entry_bytes;
            Self { at, entries, entry_bytes, count: count.min(room), room, usable: usable + count, bytes }
        }
    }

    /// The key of an entry; null where none was ever.
    ///
    /// # Safety
    ///
    /// `index` must be below `count`.
    pub unsafe fn key(&self, index: u64) -> u64 {
        let hash = if self.entry_bytes == 24 { 8 } else { 0 };
        // SAFETY: promised by the caller.
        unsafe { word(self.entries + index * self.entry_bytes, hash) }
    }

    /// Whether all of them are known to be strings themselves (3.11 and later).
    pub const fn only_strings(&self) -> bool {
        self.entry_bytes == 16
    }

    /// Where the value of an entry stands.
    fn value_at(&self, index: u64) -> u64 {
        self.entries + (index + 1) * self.entry_bytes - 8
    }
}

/// A walk over keys and values of a live dict that nobody changes.
pub struct Entries {
    pub keys: Keys,
    /// `ma_values`; null where values stand beside their keys.
    pub values: u64,
    first_value: u64,
    next: u64,
}

impl Entries {
    /// # Safety
    ///
    /// `dict` must be a live dict of this version, and must not change during the walk.
    pub unsafe fn of(dict: u64, minor: u32) -> Self {
        // SAFETY: promised by the caller.
        let (keys, values) = unsafe { (Keys::read(word(dict, DICT_KEYS), minor), word(dict, DICT_VALUES)) };
        // Since 3.13 a header of eight bytes stands in front.
        Self { keys, values, first_value: values + if minor >= 13 { 8 } else { 0 }, next: 0 }
    }

    /// A part of the walk: entries from one on, up to another one.
    pub fn between(mut self, from: u64, end: u64) -> Self {
        (self.next, self.keys.count) = (from, end.min(self.keys.count));
        self
    }

    fn value_at(&self, index: u64) -> u64 {
        if self.values == 0 { self.keys.value_at(index) } else { self.first_value + index * 8 }
    }
}

impl Iterator for Entries {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        while self.next < self.keys.count {
            let index = self.next;
            self.next += 1;
            // SAFETY: below the number of entries of a live dict.
            unsafe {
                if index + AHEAD < self.keys.count {
                    prefetch(word(self.value_at(index + AHEAD), 0));
                }
                let (key, value) = (self.keys.key(index), word(self.value_at(index), 0));
                if key != 0 && value != 0 {
                    return Some((key, value));
                }
            }
        }
        None
    }
}
