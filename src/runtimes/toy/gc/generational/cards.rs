//! The card table: which old objects may refer to young ones.

use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::memory::words::{PAGE_WORDS, Words};

/// Words of the heap for which one card stands: 512 bytes.
const CARD: usize = 64;
/// Shifts an address so that 512 bytes become one.
pub(crate) const CARD_SHIFT: i8 = 9;

/// Words of the heap for which one page of cards stands: 2 MiB.
pub(super) const CARD_PAGE: usize = CARD * 8 * PAGE_WORDS;

/// Where compiled code finds the cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CardAddresses {
    /// Objects from this address on are young, those before it old.
    pub(crate) young: u64,
    /// The card of an object is the byte at this address plus the object's, shifted by [`CARD_SHIFT`].
    pub(crate) base: u64,
}

/// One byte for 512 bytes of the old space: zero, or one if an object that begins there was given a
/// reference to a young one.
pub(super) struct Cards(Words);

impl Cards {
    pub(super) fn new(old_words: usize) -> Result<Self> {
        Ok(Self(Words::map(old_words.div_ceil(CARD) as u64, "card table")?))
    }

    /// Marks the card where the object begins.
    pub(super) fn mark(&mut self, word: usize) {
        let card = word / CARD;
        let bytes = self.0.get(card / 8);
        self.0.update(card / 8, bytes | 1 << (card % 8 * 8));
    }

    /// The first marked card at this word or after it, as the first word that it stands for.
    pub(super) fn next_marked(&self, from: usize, end: usize) -> Option<usize> {
        let mut card = from.div_ceil(CARD);
        while card * CARD < end {
            let rest = self.0.get(card / 8) >> (card % 8 * 8);
            if rest != 0 {
                return Some((card + rest.trailing_zeros() as usize / 8) * CARD);
            }
            card = (card / 8 + 1) * 8;
        }
        None
    }

    /// Unmarks the cards of the words before the end, writing only where one is marked.
    pub(super) fn clear(&mut self, end: usize) {
        for index in 0..end.div_ceil(8 * CARD) {
            self.0.update(index, 0);
        }
    }

    /// Clears the cards of everything from this heap word on, and gives their pages back. The word is a
    /// multiple of [`CARD_PAGE`].
    pub(super) fn discard_from(&mut self, word: usize) {
        self.0.discard(word / CARD / 8..self.0.len());
    }

    /// Addresses for compiled code, with the old space at the start of the heap and everything from
    /// `young` on behind it.
    pub(super) fn addresses(&self, heap: u64, young: usize) -> CardAddresses {
        CardAddresses {
            young: heap + young as u64 * 8,
            base: self.0.start().wrapping_sub(heap >> CARD_SHIFT),
        }
    }

    pub(super) fn region(&self) -> Region {
        self.0.region("card table")
    }
}

/// The words that the card which begins at this word stands for.
pub(super) fn words_of_card(first: usize) -> std::ops::Range<usize> {
    first..first + CARD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_cards_are_found_once_each_until_they_are_cleared() {
        let mut cards = Cards::new(1 << 20).unwrap();
        for word in [0, 2, 63, 64, 1000, 1 << 19, (1 << 20) - 2] {
            cards.mark(word);
        }
        let mut found = Vec::new();
        while let Some(card) = cards.next_marked(found.last().map_or(0, |last| last + CARD), 1 << 20) {
            found.push(card);
        }
        assert_eq!(found, [0, 64, 960, 1 << 19, (1 << 20) - 64]);
        assert_eq!(cards.next_marked(1024, 1 << 19), None);
        cards.clear(1 << 20);
        assert_eq!(cards.next_marked(0, 1 << 20), None);
    }
}
