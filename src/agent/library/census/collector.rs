//! The lists of the garbage collector (`struct _gc_runtime_state`, `Include/internal/pycore_gc.h`),
//! found in the interpreter by their shape. Reading them changes nothing, which `gc.get_objects()`
//! does: it counts references.

use super::layout::{GC_HEAD, word};
use crate::sys;

/// Bytes of an interpreter (`PyInterpreterState`) that are searched.
const MOST_BYTES: u64 = 1 << 19;
const PAGE: u64 = 4096;
/// Bytes of `struct gc_generation`: a list, a threshold and a count.
const GENERATION: u64 = 24;
/// `generation0` follows three generations and points to the first; that of frozen objects follows.
const FIRST: u64 = 3 * GENERATION;
const PERMANENT: u64 = FIRST + 8;
/// Bits of `_gc_prev` that are flags.
const FLAGS: u64 = 3;

/// The heads of the four lists; null where none were found.
///
/// # Safety
///
/// `interpreter` must be null or a live interpreter.
pub unsafe fn generations(interpreter: u64) -> [u64; 4] {
    let mut at = interpreter;
    // SAFETY: only what the kernel says is readable is read.
    unsafe {
        while interpreter != 0 && at < interpreter + MOST_BYTES {
            if (at == interpreter || at % PAGE < 8)
                && !(sys::readable(at & !7) && sys::readable((at & !(PAGE - 1)) + PAGE))
            {
                break;
            }
            let lists = [at, at + GENERATION, at + 2 * GENERATION, at + PERMANENT];
            if word(at, FIRST as usize) == at && lists.iter().all(|&list| is_list(list)) {
                return lists;
            }
            at += 8;
        }
    }
    [0; 4]
}

/// Calls `each` with every object of a list.
///
/// # Safety
///
/// `head` must be null or a list that does not change.
pub unsafe fn each(head: u64, mut each: impl FnMut(u64)) {
    // SAFETY: promised by the caller.
    unsafe {
        let mut at = if head == 0 { 0 } else { word(head, 0) & !FLAGS };
        while at != head && at != 0 {
            each(at + u64::from(GC_HEAD));
            at = word(at, 0) & !FLAGS;
        }
    }
}

/// Whether the neighbours of a list's head point back to it.
///
/// # Safety
///
/// Two words at `head` must be readable.
unsafe fn is_list(head: u64) -> bool {
    // SAFETY: promised by the caller; the rest is readable as the kernel says.
    unsafe {
        let (next, previous) = (word(head, 0) & !FLAGS, word(head, 8) & !FLAGS);
        let readable = |at: u64| at != 0 && at % 8 == 0 && sys::readable(at) && sys::readable(at + 8);
        readable(next)
            && readable(previous)
            && word(next, 8) & !FLAGS == head
            && word(previous, 0) & !FLAGS == head
    }
}
