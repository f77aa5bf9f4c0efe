//! What every order promises, against a plain list of what was given out.

use super::Space;
use crate::runtimes::toy::options::AllocOrder;
use proptest::prelude::*;
use std::collections::BTreeMap;

const HEAP: u64 = 256 << 10;

fn spaces() -> impl Iterator<Item = (AllocOrder, Box<dyn Space>)> {
    AllocOrder::ALL.iter().map(|order| (*order, super::new(*order, HEAP).unwrap()))
}

/// First word to bytes of every object that was not freed.
#[derive(Default)]
struct Model(BTreeMap<usize, u64>);

impl Model {
    /// Adds an object, which must lie in the heap and overlap no other.
    fn add(&mut self, word: usize, bytes: u64) {
        let first = word as u64 * 8;
        assert!(first.is_multiple_of(16) && first + bytes <= HEAP, "{bytes} bytes at {first}");
        if let Some((before, size)) = self.0.range(..=word).next_back() {
            assert!(*before as u64 * 8 + size <= first, "{size} bytes at word {before} reach into {word}");
        }
        if let Some((next, _)) = self.0.range(word..).next() {
            assert!(first + bytes <= *next as u64 * 8, "{bytes} bytes at word {word} reach into {next}");
        }
        self.0.insert(word, bytes);
    }

    fn words(&self) -> Vec<usize> {
        self.0.keys().copied().collect()
    }

    fn nth(&self, index: usize) -> (usize, u64) {
        let (word, bytes) = self.0.iter().nth(index % self.0.len()).unwrap();
        (*word, *bytes)
    }
}

#[derive(Debug, Clone)]
enum Act {
    Allocate(u64),
    Free(usize),
    /// Keeps every object whose word has no remainder by this.
    Sweep(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        12 => (16_u64..300).prop_map(Act::Allocate),
        1 => (300_u64..40_000).prop_map(Act::Allocate),
        4 => any::<usize>().prop_map(Act::Free),
        1 => (2_usize..9).prop_map(Act::Sweep),
    ];
    prop::collection::vec(act, 1..400)
}

proptest! {
    #[test]
    fn what_is_taken_is_what_was_given_out_and_not_freed(acts in acts()) {
        for (order, mut space) in spaces() {
            let mut model = Model::default();
            for act in &acts {
                match *act {
                    Act::Allocate(bytes) => {
                        if let Some(word) = space.allocate(bytes) {
                            model.add(word, bytes);
                        }
                    }
                    Act::Free(index) if !model.0.is_empty() => {
                        let (word, bytes) = model.nth(index);
                        model.0.remove(&word);
                        space.free(word, bytes);
                    }
                    Act::Free(_) => {}
                    Act::Sweep(stride) => {
                        let stays = |word: usize| (word / 2).is_multiple_of(stride);
                        let live = space.sweep(&stays);
                        model.0.retain(|word, _| stays(*word));
                        prop_assert!(live >= model.0.values().sum::<u64>(), "{order}: {live}");
                    }
                }
            }
            prop_assert_eq!(space.objects().collect::<Vec<_>>(), model.words(), "{}", order);
            prop_assert!(space.used_words() as u64 * 8 <= HEAP);
        }
    }

    /// Freed one by one or swept away, everything can be taken again, by other sizes too.
    #[test]
    fn everything_that_was_freed_is_used_again(
        sizes in prop::collection::vec(16_u64..3000, 1..40),
        swept in any::<bool>(),
    ) {
        for (order, mut space) in spaces() {
            let mut words = Vec::new();
            for bytes in sizes.iter().cycle() {
                let Some(word) = space.allocate(*bytes) else { break };
                words.push((word, *bytes));
            }
            if swept {
                prop_assert_eq!(space.sweep(&|_| false), 0);
            } else {
                for (word, bytes) in words {
                    space.free(word, bytes);
                }
            }
            prop_assert_eq!(space.objects().count(), 0);
            prop_assert_eq!(space.allocate(HEAP), Some(0), "{}", order);
        }
    }
}

#[test]
fn a_heap_is_filled_to_the_last_granule() {
    for (order, mut space) in spaces() {
        let taken = std::iter::from_fn(|| space.allocate(16)).count() as u64;
        assert_eq!(taken, HEAP / 16, "{order}");
    }
}
