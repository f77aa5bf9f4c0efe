//! Layouts of objects, as far as the census reads them itself: what they share with the preparation of a
//! heap, and what differs between versions.

use crate::sys;

pub use crate::heap::layout::*;

/// What differs between versions.
#[derive(Clone, Copy)]
pub struct Version {
    pub minor: u32,
    /// `ht_qualname` of a heap type; `ht_cached_keys` follows.
    pub qualified_name: usize,
    /// Bytes of a compact ASCII string in front of its characters, and of one that is not ASCII.
    pub text_at: [usize; 2],
    /// The code object of a `_PyInterpreterFrame` (3.11 and later).
    pub frame_code: usize,
    /// `co_stacksize` and `co_nlocalsplus` (3.11 and later).
    pub code_slots: [usize; 2],
    /// `PyCode_Type`.
    pub code_type: u64,
}

impl Version {
    pub fn of_minor(minor: u32) -> Option<Self> {
        Some(Self {
            minor,
            qualified_name: qualified_name(minor)?,
            text_at: text_at(minor),
            frame_code: if minor < 12 { 32 } else { 0 },
            code_slots: if minor < 12 { [68, 76] } else { [64, 72] },
            code_type: sys::symbol(c"PyCode_Type") as u64,
        })
    }

    /// Bytes in front of the objects of a type.
    pub const fn prefix(self, flags: u64) -> u32 {
        prefix(self.minor, flags)
    }
}
