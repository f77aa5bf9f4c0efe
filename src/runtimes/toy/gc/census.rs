//! Counting what is alive without writing to the heap or its tables.

use super::bits::{Bits, GRANULE};
use super::heap::Heap;
use super::object::Header;
use super::roots::Roots;
use super::trace::{Frozen, Marks, trace};
use crate::error::Result;
use crate::runtimes::toy::memory::words::Words;
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

struct Seen(Bits);

impl Marks for Seen {
    fn mark(&mut self, _objects: &mut Words, word: usize) -> bool {
        self.0.set(word)
    }
}

impl Heap {
    /// Addresses of the objects that the roots lead to, ascending; none if there is no room to find out.
    pub(super) fn live_addresses(&mut self, roots: &Roots<'_>) -> Vec<u64> {
        let Ok(bits) = Bits::new(self.objects.len() as u64 * 8, "census") else { return Vec::new() };
        let mut seen = Seen(bits);
        trace(&mut self.objects, &mut seen, roots, Frozen::nothing());
        let start = self.objects.start();
        seen.0.iter(self.objects.len()).map(|word| start + word as u64 * 8).collect()
    }

    /// Finds out what the roots lead to.
    pub(crate) fn census(&mut self, roots: &Roots<'_>) -> Result<Census> {
        let mut seen = Seen(Bits::new(self.objects.len() as u64 * 8, "census")?);
        trace(&mut self.objects, &mut seen, roots, Frozen::nothing());
        let mut census = Census::default();
        let mut pages = BTreeSet::new();
        let mut bitmap_pages = BTreeSet::new();
        for word in seen.0.iter(self.objects.len()) {
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
}
