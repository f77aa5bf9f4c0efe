//! The table of distinct stacks: filled without locks by any number of threads.

use crate::area::Area;
use crate::wire::{FrameWord, MOST_FRAMES, STACK_SLOTS, StackSlot};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Slots looked at before a stack is given up.
const MOST_PROBES: usize = 64;

/// Frames of one stack, innermost first.
pub struct Stack {
    pub frames: [FrameWord; MOST_FRAMES],
    pub count: usize,
    /// There were more.
    pub cut: bool,
}

impl Stack {
    pub const fn empty() -> Self {
        Self { frames: [FrameWord { code: 0, instruction: 0 }; MOST_FRAMES], count: 0, cut: false }
    }

    /// Never zero, which stands for a free slot.
    fn hash(&self) -> u64 {
        const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
        let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER);
        let frames = self.frames[..self.count].iter();
        let hash =
            frames.fold(u64::from(self.cut), |hash, frame| mix(mix(hash, frame.code), frame.instruction));
        (hash ^ hash >> 29) | 1
    }
}

/// The slot of a stack plus one; 0 when there was no room.
pub fn intern(area: Area, stack: &Stack) -> u32 {
    if stack.count == 0 {
        return 0;
    }
    let hash = stack.hash();
    for probe in 0..MOST_PROBES {
        let index = (hash >> 17) as usize + probe & (STACK_SLOTS - 1);
        let slot = area.stack_slot(index);
        // SAFETY: the hash of a slot is only ever accessed atomically.
        let taken = unsafe { AtomicU64::from_ptr(&raw mut (*slot).hash) };
        let found = match taken.compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {
                fill(area, slot, stack);
                hash
            }
            Err(other) => other,
        };
        if found == hash {
            return index as u32 + 1;
        }
    }
    area.count_dropped_stack();
    0
}

/// Writes the frames of a slot that this thread has just taken.
fn fill(area: Area, slot: *mut StackSlot, stack: &Stack) {
    let Some((first, words)) = area.reserve_frames(stack.count) else {
        area.count_dropped_stack();
        return;
    };
    // SAFETY: the words were reserved for this stack; the slot is ours until its count is published.
    unsafe {
        core::ptr::copy_nonoverlapping(stack.frames.as_ptr(), words, stack.count);
        (*slot).first = first;
        let count = stack.count as u32 | if stack.cut { StackSlot::CUT } else { 0 };
        AtomicU32::from_ptr(slot.cast::<u8>().add(offset_of!(StackSlot, count)).cast())
            .store(count, Ordering::Release);
    }
}
