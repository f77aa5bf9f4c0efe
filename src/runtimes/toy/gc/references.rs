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
        self.observed(|observer| observer.refers(value.0));
        if let Some(address) = value.as_address() {
            let word = self.word(address, 0);
            self.plan.retain(&mut self.objects, word);
        }
    }

    /// Counts one reference less, and frees what nothing refers to any more.
    pub(crate) fn release(&mut self, value: Value) {
        self.observed(|observer| observer.refers(value.0));
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
        let (start, observer) = (self.objects.start(), &mut self.observer);
        let freed_bytes = self.plan.free(&mut self.objects, word, &mut |word| {
            if let Some(observer) = observer {
                observer.died(start + word as u64 * 8);
            }
        });
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
        } else if self.barrier() == Barrier::Cards {
            self.mark_card(address, value);
        }
    }

    /// Notes that the object was given a reference, if the value is one.
    fn mark_card(&mut self, object: u64, value: Value) {
        if let Some(target) = value.as_address() {
            let (object, target) = (self.word(object, 0), self.word(target, 0));
            self.plan.mark_card(object, target);
        }
    }

    /// Forgets an item that the list counts no more. With cards, arrays are looked into without their
    /// lists, and so must not hold what is no reference any more.
    pub(crate) fn forget_item(&mut self, list: u64, index: u64) {
        if self.barrier() == Barrier::Cards {
            self.store(self.load(list, LIST_ARRAY), BODY + 8 * index, Value::NIL.0);
        }
    }

    /// Moves so many items from one array to another, new one.
    pub(crate) fn move_items(&mut self, from: u64, to: u64, count: u64) {
        self.copy_items(from, to, count);
        if self.barrier() == Barrier::Cards {
            for index in 0..count {
                self.mark_card(to, self.slot(to, index));
            }
        }
    }

    /// Writes a reference in the place of another.
    fn replace(&mut self, address: u64, offset: u64, value: Value) {
        if !self.is_counting() {
            return self.initialise(address, offset, value);
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
    pub(crate) fn init_owned(&mut self, owner: u64, offset: u64, array: u64) {
        self.initialise(owner, offset, Value(array));
    }

    /// Gives an object another array or other bytes of its own. What the old array held is moved to
    /// the new one already, so only the array itself is freed.
    pub(crate) fn set_owned(&mut self, owner: u64, offset: u64, array: u64) {
        self.replace(owner, offset, Value(array));
    }
}

#[cfg(test)]
mod tests {
    use super::super::object::{Header, Kind, LIST_COUNT, SHAPE_TAG};
    use super::super::plan::Reason;
    use super::super::roots::Roots;
    use super::*;
    use crate::runtimes::toy::memory::words::Words;
    use crate::runtimes::toy::{AtFork, GcPolicy, ToyOptions};

    fn heaps() -> impl Iterator<Item = Heap> {
        [GcPolicy::Refcount, GcPolicy::RefcountSide]
            .into_iter()
            .map(|gc| ToyOptions {
                gc,
                heap_limit: 16 << 20,
                at_fork: AtFork::Freeze,
                ..ToyOptions::default()
            })
            .map(|options| Heap::new(&options).unwrap())
    }

    fn record(heap: &mut Heap, field: Value) -> Value {
        let record = heap.allocate(Header::new(Kind::Record, 1, SHAPE_TAG)).unwrap();
        heap.init_slot(record, 0, field);
        Value(record)
    }

    /// The counts of all objects, in address order.
    fn counts(heap: &Heap) -> Vec<Option<u64>> {
        heap.plan.counts(&heap.objects).into_values().collect()
    }

    fn collect(heap: &mut Heap, root: Value) {
        let (mut stack, mut globals) = (Words::map(8, "test").unwrap(), Words::map(8, "test").unwrap());
        stack.set(0, root.0);
        let mut roots = Roots { stack: &mut stack, registers: 0..1, globals: &mut globals };
        heap.collect(&mut roots, Reason::Asked);
        assert!(heap.miscounted(&roots).is_empty());
    }

    #[test]
    fn the_last_reference_to_a_long_chain_frees_all_of_it() {
        for mut heap in heaps() {
            let mut last = Value::NIL;
            for _ in 0..300_000 {
                last = record(&mut heap, last);
            }
            heap.retain(last);
            heap.retain(last);
            heap.release(last);
            assert_eq!(counts(&heap), vec![Some(1); 300_000]);
            heap.release(last);
            assert_eq!(counts(&heap), []);
            assert_eq!(heap.allocated_bytes, 0);
        }
    }

    #[test]
    fn an_old_array_goes_without_its_items_and_a_list_with_them() {
        for mut heap in heaps() {
            let arrays = [4, 8].map(|room| heap.allocate(Header::new(Kind::Array, 0, room)).unwrap());
            let list = heap.allocate(Header::new(Kind::List, 0, 0)).unwrap();
            heap.init_owned(list, LIST_ARRAY, arrays[0]);
            let item = record(&mut heap, Value::NIL);
            heap.init_list_item(list, 0, item);
            heap.store(list, LIST_COUNT, 1);
            heap.move_items(arrays[0], arrays[1], 1);
            heap.set_owned(list, LIST_ARRAY, arrays[1]);
            heap.retain(Value(list));
            assert_eq!(counts(&heap), [Some(1); 3], "the list, the larger array, the item");
            heap.release(Value(list));
            assert_eq!(counts(&heap), []);
        }
    }

    #[test]
    fn a_cycle_stays_until_it_is_traced_and_gives_up_what_it_refers_to() {
        for mut heap in heaps() {
            let kept = record(&mut heap, Value::NIL);
            heap.retain(kept);
            let first = record(&mut heap, Value::NIL);
            let pair = heap.allocate(Header::new(Kind::Record, 2, SHAPE_TAG)).unwrap();
            heap.init_slot(pair, 0, first);
            heap.init_slot(pair, 1, kept);
            heap.retain(first);
            heap.set_slot(first.0, 0, Value(pair));
            heap.release(first);
            assert_eq!(counts(&heap), [Some(2), Some(1), Some(1)]);
            collect(&mut heap, kept);
            assert_eq!(counts(&heap), [Some(1)]);
        }
    }

    #[test]
    fn immortal_objects_are_neither_counted_nor_freed() {
        for mut heap in heaps() {
            let old = record(&mut heap, Value::NIL);
            heap.retain(old);
            let (mut stack, mut globals) = (Words::map(8, "test").unwrap(), Words::map(8, "test").unwrap());
            let mut roots = Roots { stack: &mut stack, registers: 0..0, globals: &mut globals };
            heap.prepare_fork(AtFork::Freeze, &mut roots).unwrap();
            let new = record(&mut heap, old);
            heap.set_slot(old.0, 0, new);
            for _ in 0..5 {
                heap.release(old);
            }
            assert_eq!(counts(&heap), [None, Some(1)]);
            collect(&mut heap, Value::NIL);
            assert_eq!(counts(&heap), [None, Some(1)]);
            heap.set_slot(old.0, 0, Value::NIL);
            assert_eq!(counts(&heap), [None]);
        }
    }
}
