//! Bytes of objects, from their first byte behind the headers.

use super::layout::{
    FRAME_LOCALS, FRAME_OBJECT_FRAME, OB_SIZE, OB_TYPE, STR_LENGTH, STR_STATE, Version, word,
};
use super::plans::Plan;

/// No object of more bytes than this is believed.
const MOST_BYTES: u64 = 1 << 40;

/// What follows the fixed part of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    None,
    /// As many items as `ob_size` says.
    Items,
    /// `ob_digit` of an int.
    Digits,
    /// The characters of a string.
    Text,
    /// Locals and stack of a generator's or coroutine's frame.
    Generator,
    /// Locals and stack of a frame object.
    Frame,
    /// Attribute values (3.13).
    Values,
}

/// # Safety
///
/// `object` must be live and of the type of the plan.
pub unsafe fn size_of(object: u64, plan: &Plan, version: Version) -> u32 {
    let basic = u64::from(plan.basic_size);
    // SAFETY: promised by the caller; layouts are those of the version.
    let bytes = unsafe {
        match plan.tail {
            Tail::None => basic,
            Tail::Text => text(object, basic, version),
            Tail::Values => basic + inline_values(object + basic),
            Tail::Generator => basic + 8 * slots(object + basic - FRAME_LOCALS, version),
            Tail::Frame => basic + 8 * slots(word(object, FRAME_OBJECT_FRAME), version),
            Tail::Items | Tail::Digits => {
                let items = items(object, plan.tail, version);
                basic.saturating_add(items.saturating_mul(u64::from(plan.item_size)))
            }
        }
    };
    if bytes > MOST_BYTES { plan.basic_size } else { u32::try_from(bytes).unwrap_or(u32::MAX) }
}

/// # Safety
///
/// `object` must have an `ob_size`, or the `lv_tag` that stands there for an int since 3.12.
pub unsafe fn items(object: u64, tail: Tail, version: Version) -> u64 {
    // SAFETY: promised by the caller.
    let size = unsafe { word(object, OB_SIZE) };
    match tail {
        Tail::Digits if version.minor >= 12 => (size >> 3).max(1),
        Tail::Digits => (size as i64).unsigned_abs().max(1),
        _ => (size as i64).unsigned_abs(),
    }
}

/// # Safety
///
/// `object` must be a live string.
unsafe fn text(object: u64, basic: u64, version: Version) -> u64 {
    // SAFETY: promised by the caller.
    let (state, length) = unsafe { (word(object, STR_STATE), word(object, STR_LENGTH)) };
    let (character, compact, ascii) = (state >> 2 & 7, state >> 5 & 1, state >> 6 & 1);
    if compact == 0 {
        return basic;
    }
    version.text_at[usize::from(ascii == 0)] as u64
        + (length.saturating_add(1)).saturating_mul(character.max(1))
}

/// Bytes of `PyDictValues` of 3.13, with the order of insertion behind the values.
///
/// # Safety
///
/// `values` must be such values.
pub unsafe fn inline_values(values: u64) -> u64 {
    // SAFETY: promised by the caller.
    let capacity = unsafe { word(values, 0) } & 0xff;
    8 + capacity * 8 + capacity.next_multiple_of(8)
}

/// Locals and stack of a frame: `co_nlocalsplus` and `co_stacksize` of its code.
///
/// # Safety
///
/// `frame` must be null or a `_PyInterpreterFrame`.
unsafe fn slots(frame: u64, version: Version) -> u64 {
    // SAFETY: promised by the caller; a frame that was cleared may have another object for its code.
    unsafe {
        let code = if frame == 0 { 0 } else { word(frame, version.frame_code) };
        if code == 0 || word(code, OB_TYPE) != version.code_type {
            return 0;
        }
        let [stack, locals] = version.code_slots;
        (word(code, stack) & 0xffff_ffff) + (word(code, locals) & 0xffff_ffff)
    }
}
