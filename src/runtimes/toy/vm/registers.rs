//! Registers and global variables: reading them, and every write of a value into one.
//!
//! When references are counted, each of these words counts as one, and every word of the stack that
//! belongs to no running call is zero: a call gives up its registers when it returns. Below the
//! registers that a call writes first may stand what its caller left there, which counts as well.

use super::value::Value;
use super::{Frame, HIGH_WORD, Vm};
use crate::runtimes::toy::lang::compiler::FRAME_LIMIT;

impl Vm {
    pub(crate) fn register(&self, frame: Frame, register: u8) -> Value {
        Value(self.stack.get(frame.base + usize::from(register)))
    }

    pub(crate) fn set_register(&mut self, frame: Frame, register: u8, value: Value) {
        let index = frame.base + usize::from(register);
        if self.heap.is_counting() {
            self.exchange(index, value);
        } else {
            self.stack.set(index, value.0);
        }
    }

    /// Writes a word of the stack and counts. The new reference is counted before the old one is given
    /// up, for that may be all that keeps the new object alive.
    #[cold]
    fn exchange(&mut self, index: usize, value: Value) {
        self.heap.retain(value);
        let old = Value(self.stack.get(index));
        self.stack.set(index, value.0);
        self.heap.release(old);
    }

    pub(super) fn set_global(&mut self, index: usize, value: Value) {
        self.heap.observed(|observer| observer.assigns(index));
        if !self.heap.is_counting() {
            return self.globals.set(index, value.0);
        }
        self.heap.retain(value);
        let old = Value(self.globals.get(index));
        self.globals.set(index, value.0);
        self.heap.release(old);
    }

    /// Hands a call's result to its caller, where the callee stood. When references are counted, gives
    /// up the call's registers.
    #[inline]
    pub(super) fn end_registers<const COUNTED: bool>(&mut self, site: Frame, result: Value) {
        if COUNTED {
            self.exchange(site.base - 1, result);
            self.give_up(site.base, self.top(site));
        } else {
            self.stack.set(site.base - 1, result.0);
        }
    }

    #[cold]
    fn give_up(&mut self, from: usize, to: usize) {
        for index in from..to {
            let old = Value(self.stack.get(index));
            self.stack.update(index, 0);
            self.heap.release(old);
        }
    }

    /// Clears what ended calls left above the running ones. So every word of the stack is zero, alive at
    /// the last collection, or written since: never the address of what was freed or moved.
    pub(crate) fn clear_above(&mut self, top: usize) {
        let high = self.high();
        self.heap.observed(|observer| observer.reaches(high as u64));
        if self.heap.is_counting() {
            self.give_up(top, high);
        } else {
            (top..high).for_each(|index| self.stack.update(index, 0));
        }
        // A caller goes on to write its registers, which may reach further than those of the call that
        // runs, but no further than a whole frame.
        let reach = (top + FRAME_LIMIT).min(self.stack.len());
        self.stack.set(HIGH_WORD, self.stack.start() + reach as u64 * 8);
    }

    /// Index of the first word that no call wrote since the last collection.
    pub(super) fn high(&self) -> usize {
        let words = self.stack.get(HIGH_WORD).saturating_sub(self.stack.start()) / 8;
        usize::try_from(words).unwrap_or_default()
    }

    /// Notes that a call may write registers up to here.
    pub(crate) fn raise(&mut self, frame: Frame) {
        let top = self.stack.start() + self.top(frame) as u64 * 8;
        if top > self.stack.get(HIGH_WORD) {
            self.stack.set(HIGH_WORD, top);
        }
    }
}
