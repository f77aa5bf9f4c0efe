//! What objects refer to, and the trace that marks everything alive.

use super::object::{BODY, Header, Kind, LIST_ARRAY, LIST_COUNT, MAP_ENTRIES, MAP_INDEX, MAP_USED};
use super::roots::Roots;
use crate::runtimes::toy::memory::words::Words;
use crate::runtimes::toy::vm::value::Value;
use std::ops::Range;

/// Where a policy keeps its marks.
pub(super) trait Marks {
    /// Marks the object of the heap's word; false when it was marked already.
    fn mark(&mut self, objects: &mut Words, word: usize) -> bool;
}

/// What is older than the fork and left alone by traces.
pub(super) struct Frozen<N> {
    /// Everything before this word of the heap is frozen.
    pub(super) below: usize,
    /// The first words of the frozen objects, one by one.
    pub(super) next: N,
}

impl Frozen<fn(&Words) -> Option<usize>> {
    pub(super) fn nothing() -> Self {
        Self { below: 0, next: |_| None }
    }
}

/// The first words of objects that stand one after the other without gaps.
pub(super) fn in_a_row(words: Range<usize>) -> impl FnMut(&Words) -> Option<usize> {
    let mut next = words.start;
    move |objects| {
        let word = next;
        (word < words.end).then(|| {
            next += Header(objects.get(word)).words();
            word
        })
    }
}

/// Marks everything that the roots and the frozen objects lead to, but nothing frozen: frozen objects
/// are read, whether they are alive or not. What waits to be looked into stands outside the heap.
pub(super) fn trace(
    objects: &mut Words,
    marks: &mut impl Marks,
    roots: &Roots<'_>,
    mut frozen: Frozen<impl FnMut(&Words) -> Option<usize>>,
) {
    let start = objects.start();
    let below = frozen.below;
    let mut waiting = Vec::new();
    for root in roots.iter().filter_map(|root| word_of(root, start)) {
        reach(objects, marks, (root, below), &mut waiting);
    }
    while let Some(word) = (frozen.next)(objects).or_else(|| waiting.pop()) {
        visit_slots(objects, word, &mut |objects, slot| {
            if let Some(child) = word_of(objects.get(slot), start) {
                reach(objects, marks, (child, below), &mut waiting);
            }
        });
    }
}

fn reach(
    objects: &mut Words,
    marks: &mut impl Marks,
    (word, below): (usize, usize),
    waiting: &mut Vec<usize>,
) {
    if word >= below && marks.mark(objects, word) && has_slots(objects, word) {
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
