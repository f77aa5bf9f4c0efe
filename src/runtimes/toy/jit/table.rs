//! The table beside the code ("inline-cache data"): heat of functions, then what compiled code keeps
//! outside of itself.
//!
//! The first words count calls of each function, then rounds of its loops, while it is interpreted.
//! The words of places in compiled code begin on a page of their own.

use super::SITE_LIMIT;
use super::site::ENTRIES;
use crate::runtimes::toy::memory::words::Words;

/// Words of a place that keeps everything here: guard and operand of each entry, and the counter.
const WORDS_OF_SITE: usize = 2 * ENTRIES + 1;
const WORDS_OF_PAGE: usize = 512;

/// Bytes of the table of a program with so many functions.
pub(crate) const fn table_bytes(functions: usize) -> u64 {
    (first_slot(functions) + SITE_LIMIT * WORDS_OF_SITE) as u64 * 8
}

const fn first_slot(functions: usize) -> usize {
    (2 * functions).next_multiple_of(WORDS_OF_PAGE)
}

/// Which words of the table are in use, and which of them changed.
pub(super) struct Slots {
    next: usize,
    written: Vec<usize>,
}

impl Slots {
    pub(super) const fn new(functions: usize) -> Self {
        Self { next: first_slot(functions), written: Vec::new() }
    }

    /// The first free word.
    pub(super) const fn next(&self) -> usize {
        self.next
    }

    /// Takes free words for new code; false if there are too few.
    pub(super) fn add(&mut self, table: &mut Words, values: &[u64]) -> bool {
        if values.len() > table.len().saturating_sub(self.next) {
            return false;
        }
        for (index, value) in (self.next..).zip(values) {
            table.update(index, *value);
        }
        self.next += values.len();
        true
    }

    /// Changes a word that is in use. A value that is there already is left alone.
    pub(super) fn write(&mut self, table: &mut Words, index: usize, value: u64) {
        if index < self.next && table.get(index) != value {
            table.set(index, value);
            self.written.push(index);
        }
    }

    /// Forgets earlier changes and starts a new page for new code.
    pub(super) fn begin_worker(&mut self) {
        self.written.clear();
        self.next = self.next.next_multiple_of(WORDS_OF_PAGE);
    }

    /// Words changed since the start, or since [`Self::begin_worker`].
    pub(super) fn written(&self) -> &[usize] {
        &self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_places_share_no_page_with_heat_nor_with_those_of_the_zygote() {
        let mut table = Words::map(table_bytes(300), "test").unwrap();
        let mut slots = Slots::new(300);
        assert_eq!(slots.next(), 1024);
        assert!(slots.add(&mut table, &[7, 8, 9]));
        slots.write(&mut table, 1025, 8);
        slots.write(&mut table, 1026, 5);
        slots.write(&mut table, 1027, 5);
        assert_eq!(slots.written(), [1026], "equal values, and words of nobody, are left alone");
        slots.begin_worker();
        assert_eq!((slots.next(), slots.written().len()), (1536, 0));
        assert_eq!((table.get(1024), table.get(1026), table.get(1027)), (7, 5, 0));
    }

    #[test]
    fn a_full_table_takes_no_more() {
        let mut table = Words::map(8192, "test").unwrap();
        let mut slots = Slots::new(1);
        assert!(!slots.add(&mut table, &[0; 513]));
        assert!(slots.add(&mut table, &[0; 512]));
        assert!(!slots.add(&mut table, &[0]));
    }
}
