//! Mark and sweep, and the same trace used to count what is alive.

use super::heap::Heap;
use super::marks::{BitmapMarks, GRANULE, Marks};
use super::object::{BODY, Header, Kind, LIST_ARRAY, LIST_COUNT};
use crate::runtimes::toy::memory::words::Words;
use crate::error::Result;
use crate::runtimes::toy::vm::value::Value;
use crate::units::PAGE_SIZE;
use std::collections::BTreeSet;

/// Where the live objects are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    /// Addresses of the heap pages that hold any byte of a live object, ascending.
    pub(crate) pages: Vec<u64>,
    /// How many pages of a mark bitmap a trace of these objects would write.
    pub(crate) bitmap_pages: u64,
}

impl Heap {
    /// Frees everything that the root words do not lead to.
    ///
    /// A root may be a stale word of a register: it counts only if an object begins there.
    pub(crate) fn collect(&mut self, roots: impl Iterator<Item = u64>) {
        self.marks.clear(self.blocks.used_words());
        let roots = self.object_words(roots);
        trace(&mut self.objects, &mut self.marks, roots);
        let (objects, marks) = (&self.objects, &self.marks);
        let swept = self.blocks.sweep(|word| marks.is_marked(objects, word));
        self.restart_counting(swept.live_bytes);
    }

    /// Finds out what is alive without writing to the heap, its marks or its free cells.
    pub(crate) fn census(&mut self, roots: impl Iterator<Item = u64>) -> Result<Census> {
        let mut seen = BitmapMarks::new(self.objects.len() as u64 * 8)?;
        let roots = self.object_words(roots);
        trace(&mut self.objects, &mut seen, roots);
        let mut census = Census::default();
        let mut pages = BTreeSet::new();
        let mut bitmap_pages = BTreeSet::new();
        for word in self.blocks.objects().filter(|word| seen.is_marked(&self.objects, *word)) {
            let size = Header(self.objects.get(word)).size();
            let offset = word as u64 * 8;
            census.objects += 1;
            census.bytes += size;
            pages.extend(offset / PAGE_SIZE..=(offset + size - 1) / PAGE_SIZE);
            bitmap_pages.insert(offset / GRANULE / 8 / PAGE_SIZE);
        }
        let start = self.objects.start();
        census.pages = pages.into_iter().map(|page| start + page * PAGE_SIZE).collect();
        census.bitmap_pages = bitmap_pages.len() as u64;
        Ok(census)
    }

    /// How many collections ran since the program was loaded.
    pub(crate) fn collections(&self) -> u64 {
        self.collections
    }

    fn object_words(&self, roots: impl Iterator<Item = u64>) -> Vec<usize> {
        let start = self.objects.start();
        roots
            .filter_map(|word| Value(word).as_address()?.checked_sub(start))
            .filter_map(|offset| usize::try_from(offset / 8).ok())
            .filter(|word| self.blocks.is_taken(*word))
            .collect()
    }
}

/// Marks everything that the roots lead to. What waits to be looked into stands outside the heap.
fn trace(objects: &mut Words, marks: &mut impl Marks, roots: Vec<usize>) {
    let start = objects.start();
    let mut waiting = Vec::new();
    for root in roots {
        reach(objects, marks, root, &mut waiting);
    }
    while let Some(word) = waiting.pop() {
        let header = Header(objects.get(word));
        let (first, count) = match header.kind() {
            Kind::List => {
                let array = word_of(objects.get(word + offset_words(LIST_ARRAY)), start);
                let Some(array) = array else { continue };
                marks.mark(objects, array);
                (array + offset_words(BODY), objects.get(word + offset_words(LIST_COUNT)))
            }
            Kind::Record | Kind::Closure => (word + offset_words(BODY), header.count()),
            Kind::Cell => (word + offset_words(BODY), 1),
            Kind::Text | Kind::Int | Kind::Array => continue,
        };
        let count = usize::try_from(count).unwrap_or(0);
        for slot in first..first + count {
            if let Some(child) = word_of(objects.get(slot), start) {
                reach(objects, marks, child, &mut waiting);
            }
        }
    }
}

fn reach(objects: &mut Words, marks: &mut impl Marks, word: usize, waiting: &mut Vec<usize>) {
    if !marks.mark(objects, word) {
        return;
    }
    let leaf = matches!(Header(objects.get(word)).kind(), Kind::Text | Kind::Int | Kind::Array);
    if !leaf {
        waiting.push(word);
    }
}

fn word_of(value: u64, start: u64) -> Option<usize> {
    let address = Value(value).as_address()?;
    usize::try_from(address.wrapping_sub(start) / 8).ok()
}

const fn offset_words(bytes: u64) -> usize {
    (bytes / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtimes::toy::gc::object::SHAPE_TAG;
    use crate::runtimes::toy::{GcPolicy, ToyOptions};

    fn heap(gc: GcPolicy) -> Heap {
        Heap::new(&ToyOptions { gc, heap_limit: 4 << 20, ..ToyOptions::default() }).unwrap()
    }

    /// A chain of records, each holding the one before; returns the last.
    fn chain(heap: &mut Heap, length: u64) -> u64 {
        let mut last = Value::NIL;
        for number in 0..length {
            let record = heap.allocate(Header::new(Kind::Record, 2, SHAPE_TAG)).unwrap();
            heap.set_slot(record, 0, last);
            heap.set_slot(record, 1, Value::small_int(number.cast_signed()).unwrap());
            last = Value(record);
        }
        last.0
    }

    fn words_of(heap: &Heap) -> Vec<u64> {
        (0..heap.blocks.used_words()).map(|word| heap.objects.get(word)).collect()
    }

    #[test]
    fn what_roots_lead_to_survives_and_the_rest_is_reused() {
        for gc in [GcPolicy::MarkHeader, GcPolicy::MarkBitmap] {
            let mut heap = heap(gc);
            let kept = chain(&mut heap, 100_000);
            for _ in 0..20 {
                chain(&mut heap, 20_000);
                heap.collect([kept].into_iter());
            }
            let (mut at, mut length) = (Value(kept), 0);
            while let Some(address) = at.as_address() {
                length += 1;
                assert_eq!(heap.slot(address, 1).as_small_int(), Some(100_000 - length));
                at = heap.slot(address, 0);
            }
            assert_eq!(length, 100_000, "{gc}");
            assert_eq!(heap.census([kept].into_iter()).unwrap().objects, 100_000);
        }
    }

    #[test]
    fn bitmap_marks_leave_every_heap_word_alone_and_header_marks_change_every_header() {
        for (gc, expected) in [(GcPolicy::MarkBitmap, 0), (GcPolicy::MarkHeader, 5_000)] {
            let mut heap = heap(gc);
            let kept = chain(&mut heap, 5_000);
            chain(&mut heap, 5_000);
            for _ in 0..3 {
                let before = words_of(&heap);
                heap.collect([kept].into_iter());
                let changed = before.iter().zip(words_of(&heap)).filter(|(old, new)| **old != *new).count();
                assert_eq!(changed, expected, "{gc}");
            }
        }
    }

    #[test]
    fn stale_words_among_the_roots_are_no_objects() {
        let mut heap = heap(GcPolicy::MarkBitmap);
        let gone = chain(&mut heap, 10);
        heap.collect(std::iter::empty());
        let inside = heap.objects.start() + 48;
        heap.collect([gone, inside, heap.objects.end(), 8, 0, Value::NIL.0].into_iter());
        assert_eq!(heap.census([gone].into_iter()).unwrap(), Census::default());
    }
}
