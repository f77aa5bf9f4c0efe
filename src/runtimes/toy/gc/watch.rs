//! What an [`Observer`] is told about the graph of objects, and the counting that it does beside the heap.

use super::bits::Bits;
use super::evacuate::{self, Move};
use super::heap::Heap;
use super::object::{Header, Kind};
use super::roots::Roots;
use super::trace::{visit_slots, word_of};
use crate::runtimes::toy::profile::{Link, Observer, Ordinals};
use crate::runtimes::toy::vm::value::Value;

impl Heap {
    /// Tells the observer, if there is one.
    pub(crate) fn observed<T>(&mut self, tell: impl FnOnce(&mut Observer) -> T) -> Option<T> {
        self.observer.as_deref_mut().map(tell)
    }

    /// What the roots lead to, as the observer knows it.
    pub(crate) fn live_ordinals(&mut self, roots: &Roots<'_>) -> Ordinals {
        let live = self.live_addresses(roots);
        self.observed(|observer| observer.ordinals(live.into_iter())).unwrap_or_default()
    }

    /// The same, in the order in which a breadth-first trace meets it; nothing if there is no memory to
    /// find out.
    pub(crate) fn breadth_first_ordinals(&mut self, roots: &Roots<'_>) -> Vec<u32> {
        let Ok(seen) = Bits::new(self.objects.len() as u64 * 8, "profile") else { return Vec::new() };
        let moves = evacuate::plan(&mut self.objects, roots, seen);
        let start = self.objects.start();
        let addresses = moves.into_iter().map(|Move { from, .. }| start + from as u64 * 8);
        self.observed(|observer| observer.in_order(addresses)).unwrap_or_default()
    }

    /// Tells the observer what a collection is about to find.
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
        let mut slots = Vec::new();
        let end = word + Header(self.objects.get(word)).words();
        let mut array = word;
        visit_slots(&mut self.objects, word, &mut |objects, slot| {
            let Some(target) = word_of(objects.get(slot), start) else { return };
            let is_own = (word..end).contains(&slot);
            slots.push((if is_own { word } else { array }, slot, target));
            if is_own && Header(objects.get(target)).kind() == Kind::Array {
                array = target;
            }
        });
        let address_of = |word: usize| start + word as u64 * 8;
        let link = |observer: &mut Observer, (holder, slot, target): (usize, usize, usize)| {
            observer.link(address_of(holder), slot - holder, address_of(target))
        };
        self.observed(|observer| slots.into_iter().filter_map(|slot| link(observer, slot)).collect())
            .unwrap_or_default()
    }

    /// Lets the observer count one reference less, and whatever dies of it.
    pub(super) fn observe_release(&mut self, value: Value) {
        let mut dying = Vec::new();
        self.observed(|observer| dying.extend(observer.releases(value.0)));
        let start = self.objects.start();
        while let Some(address) = dying.pop() {
            let word = self.word(address, 0);
            let observer = &mut self.observer;
            visit_slots(&mut self.objects, word, &mut |objects, slot| {
                let child = objects.get(slot);
                if word_of(child, start).is_some() {
                    dying.extend(observer.as_deref_mut().and_then(|observer| observer.releases(child)));
                }
            });
            self.observed(|observer| observer.dies(address));
        }
    }
}
