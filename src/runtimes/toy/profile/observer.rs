//! Notes what happens to objects while a program is profiled.

use super::{Collection, Death, Link, ObjectProfile, Ordinals, Profile, Site, StepProfile};
use crate::runtimes::toy::gc::object::{BODY, Header};
use crate::runtimes::toy::vm::value::Value;

/// No object begins at a granule.
const NOBODY: u32 = u32::MAX;
/// Bytes in which every object begins at most once.
const GRANULE: u64 = 16;

/// What happened since the start of the program.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    /// Address of the heap.
    heap: u64,
    /// The youngest object that begins at each granule of the heap.
    at: Vec<u32>,
    objects: Vec<ObjectProfile>,
    older: usize,
    collections: Vec<Collection>,
    deaths: Vec<Death>,
    /// What is under way: everything before the fork, then one step after the other.
    now: StepProfile,
}

impl Observer {
    /// Watches a heap that begins at the address.
    pub(crate) fn new(heap: u64) -> Self {
        Self { heap, ..Self::default() }
    }

    /// An object was made; both words of its header are written.
    pub(crate) fn made(&mut self, address: u64, header: Header) {
        let granule = self.granule(address);
        if granule >= self.at.len() {
            self.at.resize(granule + 1, NOBODY);
        }
        self.at[granule] = u32::try_from(self.objects.len()).unwrap_or(NOBODY);
        self.objects.push(ObjectProfile { bytes: header.size(), written: BODY });
    }

    /// Nothing refers to an object any more, and its room was given back.
    pub(crate) fn died(&mut self, address: u64) {
        if let Some(ordinal) = self.ordinal(address) {
            self.deaths.push(Death { at: self.objects.len(), ordinal });
        }
    }

    /// A word of an object is written.
    pub(crate) fn stores(&mut self, address: u64, offset: u64, new: u64) {
        let Some(ordinal) = self.ordinal(address) else { return };
        let target = Value(new).as_address().and_then(|address| self.ordinal(address));
        if ordinal < self.older && target.is_some_and(|target| target >= self.older) {
            self.now.linked.insert(ordinal);
        }
        self.wrote(ordinal, offset, 8);
    }

    /// Bytes of an object were filled in.
    pub(crate) fn filled(&mut self, address: u64, offset: u64, bytes: u64) {
        if let Some(ordinal) = self.ordinal(address) {
            self.wrote(ordinal, offset, bytes);
        }
    }

    fn wrote(&mut self, ordinal: usize, offset: u64, bytes: u64) {
        if ordinal < self.older {
            let words = offset / 8..(offset + bytes).div_ceil(8);
            let places = words.map(|word| (to_number(ordinal as u64), to_number(word)));
            self.now.stored.extend(places);
        } else {
            let object = &mut self.objects[ordinal];
            object.written = object.written.max(offset + bytes);
        }
    }

    /// A reference to an object is made or given up, in a register, a variable or an object.
    pub(crate) fn refers(&mut self, value: u64) {
        let object = Value(value).as_address().and_then(|address| self.ordinal(address));
        if let Some(ordinal) = object {
            self.now.visited.insert(ordinal);
        }
    }

    /// A global variable is assigned.
    pub(crate) fn assigns(&mut self, global: usize) {
        self.now.globals.extend(u32::try_from(global));
    }

    /// A place that compiled code would patch runs.
    pub(crate) fn runs(&mut self, site: Site) {
        self.now.sites.insert(site);
    }

    /// Registers up to this word of the stack may have been written.
    pub(crate) fn reaches(&mut self, stack_words: u64) {
        self.now.stack_words = self.now.stack_words.max(stack_words);
    }

    /// A collection found these objects alive, by their addresses.
    pub(crate) fn collected(&mut self, live: impl Iterator<Item = u64>, links: Vec<Link>, is_asked: bool) {
        let live = self.ordinals(live);
        self.collections.push(Collection { at: self.objects.len(), is_asked, live, links });
    }

    /// A slot, if it leads to an object younger than its holder.
    pub(crate) fn link(&self, holder: u64, word: usize, target: u64) -> Option<Link> {
        let [holder, target] = [self.ordinal(holder)?, self.ordinal(target)?];
        (holder < target).then_some(Link {
            holder: to_number(holder as u64),
            word: to_number(word as u64),
            target: to_number(target as u64),
        })
    }

    /// The objects at these addresses.
    pub(crate) fn ordinals(&self, addresses: impl Iterator<Item = u64>) -> Ordinals {
        addresses.filter_map(|address| self.ordinal(address)).collect()
    }

    /// The same, in this order.
    pub(crate) fn in_order(&self, addresses: impl Iterator<Item = u64>) -> Vec<usize> {
        addresses.filter_map(|address| self.ordinal(address)).collect()
    }

    /// The program stands before its fork.
    pub(super) fn fork(&mut self, alive: Ordinals) -> Profile {
        let before = std::mem::take(&mut self.now);
        self.older = self.objects.len();
        self.begin_step();
        Profile {
            older: self.older,
            alive,
            older_collections: self.collections.len(),
            older_deaths: self.deaths.len(),
            sites: before.sites,
            ..Profile::default()
        }
    }

    fn begin_step(&mut self) {
        self.now.made = self.objects.len()..self.objects.len();
        self.now.collections = self.collections.len()..self.collections.len();
        self.now.deaths = self.deaths.len()..self.deaths.len();
    }

    /// A step has ended.
    pub(super) fn end_step(&mut self, name: String) -> StepProfile {
        let mut step = std::mem::take(&mut self.now);
        self.begin_step();
        step.name = name;
        step.made.end = self.objects.len();
        step.collections.end = self.collections.len();
        step.deaths.end = self.deaths.len();
        step
    }

    /// The program has ended.
    pub(super) fn finish(&mut self, profile: &mut Profile) {
        profile.objects = std::mem::take(&mut self.objects);
        profile.collections = std::mem::take(&mut self.collections);
        profile.deaths = std::mem::take(&mut self.deaths);
    }

    fn granule(&self, address: u64) -> usize {
        usize::try_from(address.wrapping_sub(self.heap) / GRANULE).unwrap_or(usize::MAX)
    }

    fn ordinal(&self, address: u64) -> Option<usize> {
        let ordinal = *self.at.get(self.granule(address))?;
        (ordinal != NOBODY).then_some(ordinal as usize)
    }
}

/// A number as profiles keep it; no program that is profiled makes so many objects.
fn to_number(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
