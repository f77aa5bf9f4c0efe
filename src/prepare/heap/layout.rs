//! Layouts of objects, as far as they are read without a call. Offsets in bytes; they are the same in
//! 3.9 to 3.13 where no version is named (`Include/cpython/*.h`, `Include/internal/pycore_dict.h`).

pub const OB_TYPE: usize = 8;
pub const OB_SIZE: usize = 16;
pub const TP_NAME: usize = 24;
pub const TP_BASICSIZE: usize = 32;
pub const TP_ITEMSIZE: usize = 40;
pub const TP_HASH: usize = 120;
pub const TP_FLAGS: usize = 168;
pub const TP_TRAVERSE: usize = 184;
pub const TP_WEAKLISTOFFSET: usize = 208;
pub const TP_MEMBERS: usize = 240;
pub const TP_BASE: usize = 256;
pub const TP_DICT: usize = 264;
pub const TP_DICTOFFSET: usize = 288;
pub const TP_IS_GC: usize = 328;
pub const TP_BASES: usize = 336;
pub const TP_MRO: usize = 344;
pub const TP_DEL: usize = 376;
pub const TP_VERSION_TAG: usize = 384;
pub const TP_FINALIZE: usize = 392;
pub const MODULE_DICT: usize = 16;
pub const TUPLE_ITEMS: usize = 24;
pub const LIST_ITEMS: usize = 24;
pub const LIST_ALLOCATED: usize = 32;
pub const DICT_KEYS: usize = 32;
pub const DICT_VALUES: usize = 40;
pub const SET_MASK: usize = 32;
pub const SET_TABLE: usize = 40;
pub const SET_SMALL_TABLE: usize = 64;
pub const BYTEARRAY_ALLOCATED: usize = 24;
pub const BYTEARRAY_BYTES: usize = 32;
/// `localsplus` of a `_PyInterpreterFrame`, with which a generator ends (3.11 and later).
pub const FRAME_LOCALS: u64 = 72;
/// `f_frame` of a frame object (3.11 and later).
pub const FRAME_OBJECT_FRAME: usize = 24;
pub const STR_LENGTH: usize = 16;
pub const STR_STATE: usize = 32;

pub const FLAG_INLINE_VALUES: u64 = 1 << 2;
pub const FLAG_MANAGED_WEAKREF: u64 = 1 << 3;
pub const FLAG_MANAGED_DICT: u64 = 1 << 4;
/// Of heap types that extension modules make (3.10 and later).
pub const FLAG_IMMUTABLE: u64 = 1 << 8;
pub const FLAG_HEAP_TYPE: u64 = 1 << 9;
pub const FLAG_HAVE_GC: u64 = 1 << 14;
pub const FLAG_INT: u64 = 1 << 24;
pub const FLAG_LIST: u64 = 1 << 25;
pub const FLAG_TUPLE: u64 = 1 << 26;
pub const FLAG_STR: u64 = 1 << 28;
pub const FLAG_DICT: u64 = 1 << 29;
pub const FLAG_TYPE: u64 = 1 << 31;

/// Types that are ready for use.
pub const FLAG_READY: u64 = 1 << 12;

/// Bytes of `PyGC_Head`.
pub const GC_HEAD: u32 = 16;
/// Bytes of the words in front of it, where dict or weak references are managed (3.11 and later).
pub const PRE_HEADER: u32 = 16;

/// A word of memory.
///
/// # Safety
///
/// Eight bytes at `base + offset` must be readable.
pub unsafe fn word(base: u64, offset: usize) -> u64 {
    // SAFETY: promised by the caller.
    unsafe { ((base + offset as u64) as *const u64).read_unaligned() }
}

/// `ht_qualname` of a heap type; `ht_cached_keys` follows, `ht_name` and `ht_slots` stand in front.
pub const fn qualified_name(minor: u32) -> Option<usize> {
    match minor {
        9 => Some(856),
        10 | 11 => Some(864),
        12 | 13 => Some(872),
        _ => None,
    }
}

/// Bytes of a compact ASCII string in front of its characters, and of one that is not ASCII.
pub const fn text_at(minor: u32) -> [usize; 2] {
    if minor < 12 { [48, 72] } else { [40, 56] }
}

/// Bytes in front of the objects of a type with these flags.
pub const fn prefix(minor: u32, flags: u64) -> u32 {
    let managed = FLAG_MANAGED_DICT | if minor >= 12 { FLAG_MANAGED_WEAKREF } else { 0 };
    let pre_header = if minor >= 11 && flags & managed != 0 { PRE_HEADER } else { 0 };
    let gc = if flags & FLAG_HAVE_GC != 0 { GC_HEAD } else { 0 };
    gc + pre_header
}
