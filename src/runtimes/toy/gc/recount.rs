//! Counting all references anew, to see whether the counts that were kept are right.

use super::heap::Heap;
use super::roots::Roots;
use super::trace::{visit_slots, word_of};
use std::collections::BTreeMap;

impl Heap {
    /// First words of the objects whose count is not the number of references that the roots and all
    /// objects hold to them. Garbage that is not freed yet is counted too; what is immortal is not.
    pub(crate) fn miscounted(&mut self, roots: &Roots<'_>) -> Vec<usize> {
        let kept = self.plan.counts(&self.objects);
        let start = self.objects.start();
        let mut found: BTreeMap<usize, u64> = BTreeMap::new();
        for word in roots.iter().filter_map(|root| word_of(root, start)) {
            *found.entry(word).or_default() += 1;
        }
        for word in kept.keys() {
            visit_slots(&mut self.objects, *word, &mut |objects, slot| {
                if let Some(child) = word_of(objects.get(slot), start) {
                    *found.entry(child).or_default() += 1;
                }
            });
        }
        let is_wrong = |word: &usize| match kept.get(word) {
            Some(Some(count)) => found.get(word).copied().unwrap_or_default() != *count,
            Some(None) => false,
            // A reference to what was freed.
            None => true,
        };
        kept.keys().chain(found.keys()).copied().filter(is_wrong).collect()
    }
}
