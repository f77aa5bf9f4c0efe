//! The Python frames of the calling thread, read as they stand: nothing is called but two look-ups
//! that `CPython` itself makes in signal handlers.

use crate::frame_layout::{ABSENT, FrameLayout};
use crate::stacks::Stack;
use crate::state::State;
use crate::wire::{FrameWord, MOST_FRAMES};

/// What was found.
pub enum Found {
    /// No frame: no Python here, or not in this thread.
    Nothing,
    /// Frames, and whether the thread holds the GIL.
    Frames {
        /// False in native code that released it.
        holds_gil: bool,
    },
}

/// Walks the frames of the calling thread into `stack`.
pub fn walk(state: &State, stack: &mut Stack) -> Found {
    let (Some(layout), Some(this_thread_state)) = (&state.frames, state.this_thread_state) else {
        return Found::Nothing;
    };
    // SAFETY: PyGILState_GetThisThreadState reads thread-local storage; before initialisation and
    // after finalisation it gives null.
    let thread_state = unsafe { this_thread_state() };
    if thread_state.is_null() {
        return Found::Nothing;
    }
    let holds_gil = state.running_thread_state.is_none_or(|running| {
        // SAFETY: reads one pointer.
        let running = unsafe { running() };
        running == thread_state
    });
    // SAFETY: the thread state of this very thread, whose frames do not change while it is here.
    unsafe { collect(layout, thread_state as u64, stack) };
    if stack.count == 0 { Found::Nothing } else { Found::Frames { holds_gil } }
}

/// # Safety
///
/// `thread_state` must be the calling thread's, laid out as `layout` says.
unsafe fn collect(layout: &FrameLayout, thread_state: u64, stack: &mut Stack) {
    // SAFETY: every address is that of a field of a live struct, by the caller's promise.
    unsafe {
        let mut frame = word(thread_state, layout.first_frame);
        if layout.of_cframe != ABSENT && frame != 0 {
            frame = word(frame, layout.of_cframe);
        }
        let mut steps = 0;
        while frame != 0 && steps < 4 * MOST_FRAMES {
            steps += 1;
            let owner = if layout.owner == ABSENT { 0 } else { byte(frame, layout.owner) };
            if layout.owner == ABSENT || owner < layout.skipped_owner {
                if stack.count == MOST_FRAMES {
                    stack.cut = true;
                    return;
                }
                let instruction = if layout.instruction_size == 4 {
                    i64::from(word(frame, layout.instruction) as u32 as i32) as u64
                } else {
                    word(frame, layout.instruction)
                };
                let code = word(frame, layout.code) & !u64::from(layout.code_tag);
                stack.frames[stack.count] = FrameWord { code, instruction };
                stack.count += 1;
            }
            frame = word(frame, layout.previous);
        }
    }
}

/// # Safety
///
/// Eight bytes at the offset must be readable.
unsafe fn word(base: u64, offset: u16) -> u64 {
    // SAFETY: promised by the caller.
    unsafe { ((base + u64::from(offset)) as *const u64).read_unaligned() }
}

/// # Safety
///
/// The byte at the offset must be readable.
unsafe fn byte(base: u64, offset: u16) -> u8 {
    // SAFETY: promised by the caller.
    unsafe { ((base + u64::from(offset)) as *const u8).read() }
}
