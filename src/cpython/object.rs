//! Where the object is in a block of memory.
//!
//! In front of an object stand, from low to high addresses: two words for its dict and weak references
//! (3.11+, types with `Py_TPFLAGS_MANAGED_*`), and the two words of `PyGC_Head` (types with
//! `Py_TPFLAGS_HAVE_GC`). The object itself begins with its reference count and its type.

use super::memory::Memory;
use super::offsets::Offsets;
use super::types::{TypeFlags, header_bytes};

/// Reference counts are smaller, and pointers are not (without the flags that 3.14 keeps above them).
const MAX_REFCOUNT: u64 = 1 << 40;

/// An object that was found in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectAt {
    /// Its address, as `id()` says it.
    pub object: u64,
    /// The address of its type.
    pub ty: u64,
    /// A `PyGC_Head` stands before it.
    pub gc: bool,
    /// Pointers to its dict and weak references stand before that.
    pub preheader: bool,
    /// It has references. If not, it waits in a free list of its type to be used again.
    pub alive: bool,
}

/// Finds the object in the used block of `size` bytes at `start`.
///
/// `is_type` says whether an address is that of a live type. A block without an object (a buffer)
/// has none, even if it holds pointers to types: the headers must be those that the type asks for.
pub fn find_object(
    memory: &dyn Memory,
    offsets: &Offsets,
    (start, size): (u64, u64),
    is_type: &dyn Fn(u64) -> bool,
) -> Option<ObjectAt> {
    [0, 16, 32].into_iter().find_map(|headers| {
        let object = start.checked_add(headers)?;
        let ty = memory.word(object.checked_add(8)?).filter(|ty| is_type(*ty))?;
        let flags = TypeFlags::read(memory, offsets, ty)?;
        let fits = headers.checked_add(least_bytes(memory, offsets, ty, flags)?)? <= size;
        if header_bytes(flags, offsets) != headers || !fits {
            return None;
        }
        let references = references(memory, offsets, object)?;
        Some(ObjectAt {
            object,
            ty,
            gc: flags.gc(),
            preheader: flags.preheader(offsets),
            alive: references != 0,
        })
    })
}

/// Bytes that every instance has. Strings are mostly shorter than `tp_basicsize` says.
fn least_bytes(memory: &dyn Memory, offsets: &Offsets, ty: u64, flags: TypeFlags) -> Option<u64> {
    if flags.string() {
        return Some(offsets.strings.ascii_text);
    }
    memory.word(ty.checked_add(offsets.types.basicsize)?)
}

/// The reference count, if the word can be one.
fn references(memory: &dyn Memory, offsets: &Offsets, object: u64) -> Option<u64> {
    if offsets.at_least(14) {
        return memory.half(object).map(u64::from);
    }
    memory.word(object).filter(|count| *count < MAX_REFCOUNT)
}
