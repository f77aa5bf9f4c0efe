//! Where a thread's Python frames stand. Depends on nothing, not even on `std`: the agent includes it by path.
//!
//! A walk: from the thread state ([`FrameLayout::first_frame`] says how) to the innermost frame, then
//! along `previous` until null. Frames whose owner is [`FrameLayout::skipped_owner`] or more hold no
//! Python code and are stepped over.

/// Offset of a field that the version does not have.
pub const ABSENT: u16 = u16::MAX;

/// How to walk the frames of one `CPython` version: offsets in bytes, from the structs named.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLayout {
    /// In `PyThreadState`: `frame` (3.9, 3.10), `cframe` (3.11, 3.12) or `current_frame` (3.13+).
    pub first_frame: u16,
    /// In `_PyCFrame`: `current_frame`. [`ABSENT`] where `first_frame` already is the frame.
    pub of_cframe: u16,
    /// In the frame: its code object (`f_code`, 3.13+ `f_executable`).
    pub code: u16,
    /// In the frame: `f_lasti` (3.9, 3.10), `prev_instr` (3.11, 3.12) or `instr_ptr` (3.13+).
    pub instruction: u16,
    /// In the frame: the calling frame (`f_back`, 3.11+ `previous`).
    pub previous: u16,
    /// In the frame: one byte that says who owns it. [`ABSENT`] where every frame is a Python frame.
    pub owner: u16,
    /// The least `owner` of frames without Python code (`FRAME_OWNED_BY_CSTACK`, 3.14+ `_INTERPRETER`).
    pub skipped_owner: u8,
    /// Bytes of `instruction`: 4 for a signed index (`f_lasti`), 8 for an address.
    pub instruction_size: u8,
    /// Bits of `code` to clear: 3.14+ tags its references.
    pub code_tag: u8,
    /// Zero; makes the size a multiple of the alignment.
    pub reserved: u8,
}

/// `Include/cpython/frameobject.h` of 3.9: `f_lasti` counts bytes.
pub const V3_9: FrameLayout = FrameLayout {
    first_frame: 24,
    of_cframe: ABSENT,
    code: 32,
    instruction: 104,
    previous: 24,
    owner: ABSENT,
    skipped_owner: u8::MAX,
    instruction_size: 4,
    code_tag: 0,
    reserved: 0,
};

/// `Include/cpython/frameobject.h` of 3.10: `f_lasti` counts code units of two bytes.
pub const V3_10: FrameLayout = FrameLayout { instruction: 96, ..V3_9 };

/// `Include/internal/pycore_frame.h` of 3.11.
pub const V3_11: FrameLayout = FrameLayout {
    first_frame: 56,
    of_cframe: 8,
    code: 32,
    instruction: 56,
    previous: 48,
    owner: 69,
    skipped_owner: 3,
    instruction_size: 8,
    code_tag: 0,
    reserved: 0,
};

/// `Include/internal/pycore_frame.h` of 3.12.
pub const V3_12: FrameLayout = FrameLayout { of_cframe: 0, code: 0, previous: 8, owner: 70, ..V3_11 };

/// `Include/internal/pycore_frame.h` of 3.13. Prefer the offsets that the process itself publishes.
pub const V3_13: FrameLayout = FrameLayout { first_frame: 72, of_cframe: ABSENT, ..V3_12 };

/// The layout of a version whose headers were read; later ones publish theirs in `_Py_DebugOffsets`.
pub const fn of_version(major: u8, minor: u8) -> Option<FrameLayout> {
    match (major, minor) {
        (3, 9) => Some(V3_9),
        (3, 10) => Some(V3_10),
        (3, 11) => Some(V3_11),
        (3, 12) => Some(V3_12),
        (3, 13) => Some(V3_13),
        _ => None,
    }
}

/// The bits of a `_PyStackRef` of 3.14 that are no address (`Py_TAG_BITS`).
pub const V3_14_TAG: u8 = 3;
