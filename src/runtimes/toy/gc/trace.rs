//! What objects refer to, and the trace that marks everything alive.

use super::object::{BODY, Header, Kind, LIST_ARRAY, LIST_COUNT, MAP_ENTRIES, MAP_INDEX, MAP_USED};
use super::roots::Roots;
use crate::runtimes::toy::memory::words::Words;
use crate::runtimes::toy::vm::value::Value;

/// Where a policy keeps its marks.
pub(super) trait Marks {
    /// Marks the object of the heap's word; false when it was marked already.
    fn mark(&mut self, objects: &mut Words, word: usize) -> bool;
}

/// Marks everything that the roots lead to. What waits to be looked into stands outside the heap.
pub(super) fn trace(objects: &mut Words, marks: &mut impl Marks, roots: &Roots<'_>) {
    let start = objects.start();
    trace_from(objects, marks, roots.iter().filter_map(|root| word_of(root, start)));
}

/// Marks everything that the objects lead to, and the objects.
pub(super) fn trace_from(objects: &mut Words, marks: &mut impl Marks, from: impl Iterator<Item = usize>) {
    let start = objects.start();
    let mut waiting = Vec::new();
    for word in from {
        reach(objects, marks, word, &mut waiting);
    }
    while let Some(word) = waiting.pop() {
        visit_slots(objects, word, &mut |objects, slot| {
            if let Some(child) = word_of(objects.get(slot), start) {
                reach(objects, marks, child, &mut waiting);
            }
        });
    }
}

fn reach(objects: &mut Words, marks: &mut impl Marks, word: usize, waiting: &mut Vec<usize>) {
    if marks.mark(objects, word) && has_slots(objects, word) {
        waiting.push(word);
    }
}

/// Whether [`visit_slots`] would find anything.
pub(super) fn has_slots(objects: &Words, word: usize) -> bool {
    !matches!(Header(objects.get(word)).kind(), Kind::Text | Kind::Int | Kind::Float | Kind::Array)
}

/// Calls the function with the word of every slot that may hold a reference.
///
/// The items of a list and the entries of a map are visited with the list and the map, after the slot
/// that leads to their array: the function may have put the array's new address there. An array by
/// itself has no slots, for only its owner knows how many of them are initialised.
pub(super) fn visit_slots(objects: &mut Words, word: usize, visit: &mut impl FnMut(&mut Words, usize)) {
    let start = objects.start();
    let header = Header(objects.get(word));
    let (array, count) = match header.kind() {
        Kind::List => {
            visit(objects, word + words(LIST_ARRAY));
            (objects.get(word + words(LIST_ARRAY)), objects.get(word + words(LIST_COUNT)))
        }
        Kind::Map => {
            visit(objects, word + words(MAP_INDEX));
            visit(objects, word + words(MAP_ENTRIES));
            (objects.get(word + words(MAP_ENTRIES)), 2 * objects.get(word + words(MAP_USED)))
        }
        Kind::Record | Kind::Closure => return visit_range(objects, word, header.count(), visit),
        Kind::Cell => return visit_range(objects, word, 1, visit),
        Kind::Text | Kind::Int | Kind::Float | Kind::Array => return,
    };
    if let Some(array) = word_of(array, start) {
        visit_range(objects, array, count, visit);
    }
}

fn visit_range(objects: &mut Words, word: usize, count: u64, visit: &mut impl FnMut(&mut Words, usize)) {
    let first = word + words(BODY);
    for slot in first..first + usize::try_from(count).unwrap_or(0) {
        visit(objects, slot);
    }
}

/// The heap's word that a value refers to.
pub(super) fn word_of(value: u64, start: u64) -> Option<usize> {
    let address = Value(value).as_address()?;
    usize::try_from(address.wrapping_sub(start) / 8).ok()
}

const fn words(bytes: u64) -> usize {
    (bytes / 8) as usize
}
