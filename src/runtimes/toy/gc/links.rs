//! What an [`Observer`] is told of a collection: who lives, and which slots lead to younger objects.

use super::heap::Heap;
use super::object::{Header, Kind};
use super::roots::Roots;
use super::trace::{visit_slots, word_of};
use crate::runtimes::toy::profile::{Link, Observer};

impl Heap {
    /// Tells the observer, if there is one, what a collection is about to find.
    pub(super) fn observe_collection(&mut self, roots: &Roots<'_>, is_asked: bool) {
        if self.observer.is_none() {
            return;
        }
        let live = self.live_addresses(roots);
        let links = live.iter().flat_map(|address| self.links_of(*address)).collect();
        self.observed(|observer| observer.collected(live.into_iter(), links, is_asked));
    }

    /// Slots of an object, and of the array it owns, that lead to objects younger than their holder.
    fn links_of(&mut self, address: u64) -> Vec<Link> {
        let start = self.objects.start();
        let word = self.word(address, 0);
        let own = word..word + Header(self.objects.get(word)).words();
        let (mut array, mut slots) = (word, Vec::new());
        visit_slots(&mut self.objects, word, &mut |objects, slot| {
            let Some(target) = word_of(objects.get(slot), start) else { return };
            let is_own = own.contains(&slot);
            slots.push((if is_own { word } else { array }, slot, target));
            if is_own && Header(objects.get(target)).kind() == Kind::Array {
                array = target;
            }
        });
        let address_of = |word: usize| start + word as u64 * 8;
        let younger = |observer: &mut Observer| {
            let link = |(holder, slot, target): (usize, usize, usize)| {
                observer.link(address_of(holder), slot - holder, address_of(target))
            };
            slots.into_iter().filter_map(link).collect()
        };
        self.observed(younger).unwrap_or_default()
    }
}
