//! Every write of a reference into an object, and the counting of references for those who write them
//! elsewhere.
//!
//! The registers of running calls and the global variables belong to the machine, which calls
//! [`Heap::retain`] and [`Heap::release`] for what it writes there. Other policies than those that
//! count references pay one branch for each write.

use super::barrier::Barrier;
use super::heap::Heap;
use super::object::{BODY, LIST_ARRAY};
use crate::runtimes::toy::vm::value::Value;

impl Heap {
    /// Whether every write of a reference has to count.
    pub(crate) fn is_counting(&self) -> bool {
        matches!(self.barrier(), Barrier::CountInHeader | Barrier::CountBeside)
    }

    /// Counts one more reference, if the value is one.
    pub(crate) fn retain(&mut self, value: Value) {
        if let Some(address) = value.as_address() {
            let word = self.word(address, 0);
            self.plan.retain(&mut self.objects, word);
        }
    }

    /// Counts one reference less, and frees what nothing refers to any more.
    pub(crate) fn release(&mut self, value: Value) {
        if let Some(address) = value.as_address() {
            let word = self.word(address, 0);
            if self.plan.drop_reference(&mut self.objects, word) {
                self.free(address);
            }
        }
    }

    /// Counts one reference less but frees nothing: the value is on its way to another place.
    pub(crate) fn carry(&mut self, value: Value) {
        if let Some(address) = value.as_address().filter(|_| self.is_counting()) {
            let word = self.word(address, 0);
            self.plan.drop_reference(&mut self.objects, word);
        }
    }

    /// Frees an object whose count has become zero.
    pub(crate) fn free(&mut self, address: u64) {
        let word = self.word(address, 0);
        let freed_bytes = self.plan.free(&mut self.objects, word);
        self.allocated_bytes = self.allocated_bytes.saturating_sub(freed_bytes);
    }

    /// Where the count of an object at address zero would stand: that of another one stands a quarter
    /// of its address further on. For counts beside the heap.
    pub(crate) fn count_origin(&self) -> Option<u64> {
        let table = self.plan.count_table()?;
        Some(table.start().wrapping_sub(self.objects.start() / 4))
    }

    /// Writes a reference where none has been: the memory may hold anything.
    fn initialise(&mut self, address: u64, offset: u64, value: Value) {
        self.store(address, offset, value.0);
        if self.is_counting() {
            self.retain(value);
        }
    }

    /// Writes a reference in the place of another.
    fn replace(&mut self, address: u64, offset: u64, value: Value) {
        if !self.is_counting() {
            return self.store(address, offset, value.0);
        }
        self.retain(value);
        let old = Value(self.load(address, offset));
        self.store(address, offset, value.0);
        self.release(old);
    }

    /// Fills the `index`-th slot of a new object.
    pub(crate) fn init_slot(&mut self, address: u64, index: u64, value: Value) {
        self.initialise(address, BODY + 8 * index, value);
    }

    pub(crate) fn set_slot(&mut self, address: u64, index: u64, value: Value) {
        self.replace(address, BODY + 8 * index, value);
    }

    /// Writes an item beyond those that the list counts.
    pub(crate) fn init_list_item(&mut self, list: u64, index: u64, value: Value) {
        self.initialise(self.load(list, LIST_ARRAY), BODY + 8 * index, value);
    }

    pub(crate) fn set_list_item(&mut self, list: u64, index: u64, value: Value) {
        self.replace(self.load(list, LIST_ARRAY), BODY + 8 * index, value);
    }

    /// Gives a new object the array or the bytes that it owns; zero stands for none.
    pub(crate) fn init_owned(&mut self, owner: u64, offset: u64, owned: u64) {
        self.initialise(owner, offset, Value(owned));
    }

    /// Gives an object another array or other bytes of its own. What the old array held is moved to
    /// the new one already, so only the array itself is freed.
    pub(crate) fn set_owned(&mut self, owner: u64, offset: u64, owned: u64) {
        self.replace(owner, offset, Value(owned));
    }
}
