//! The object heap: allocation, access to object words, and when to collect.

use super::barrier::Barrier;
use super::evacuate;
use super::generational::cards::CardAddresses;
use super::object::{BODY, Header, Kind, LIST_ARRAY, LIST_COUNT};
use super::plan::{self, Plan, Reason};
use super::roots::Roots;
use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::memory::words::Words;
use crate::runtimes::toy::options::{AtFork, ToyOptions};
use crate::runtimes::toy::profile::{Observer, Ordinals};
use crate::runtimes::toy::vm::value::Value;

/// The heap is a whole number of these, in bytes.
const BLOCK: u64 = 16 << 10;

/// Bytes allocated between two collections, at least.
const QUIET_BYTES: u64 = 32 << 20;

/// Of so many collections that come after a given number of allocations, one is as the program asks
/// for it, so that bugs of both kinds are found.
const STRESSED_MAJOR: u64 = 8;

/// More than any heap can be; asking for it is refused when it is mapped.
const ADDRESS_SPACE: u64 = 1 << 48;

/// No room for an object, even though nothing else was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeapFull;

pub(crate) struct Heap {
    pub(super) objects: Words,
    pub(super) plan: Box<dyn Plan>,
    barrier: Barrier,
    /// Bytes allocated since the last collection, less those that were given back at once.
    pub(super) allocated_bytes: u64,
    allocations: u32,
    quiet_bytes: u64,
    collect_every: u32,
    collections: u64,
    /// Notes what happens, while a program is profiled.
    pub(super) observer: Option<Box<Observer>>,
}

impl Heap {
    pub(crate) fn new(options: &ToyOptions) -> Result<Self> {
        let bytes = options.heap_limit.clamp(BLOCK, ADDRESS_SPACE).next_multiple_of(BLOCK);
        let plan = plan::new(options, bytes)?;
        Ok(Self {
            objects: Words::map(plan.address_space(), "object heap")?,
            barrier: plan.barrier(),
            plan,
            allocated_bytes: 0,
            allocations: 0,
            quiet_bytes: QUIET_BYTES,
            collect_every: options.collect_every,
            collections: 0,
            observer: None,
        })
    }

    /// Makes an object of the header's size. Its body holds whatever was there before.
    pub(crate) fn allocate(&mut self, header: Header) -> Result<u64, HeapFull> {
        let size = header.size();
        let word = self.plan.allocate(&mut self.objects, header).ok_or(HeapFull)?;
        self.allocated_bytes += size;
        self.allocations = self.allocations.saturating_add(1);
        let address = self.objects.start() + word as u64 * 8;
        self.observed(|observer| observer.made(address, header));
        Ok(address)
    }

    /// Whether it is time to collect, before the next allocation.
    pub(crate) fn is_collection_due(&self) -> bool {
        self.allocated_bytes >= self.quiet_bytes
            || (self.collect_every != 0 && self.allocations >= self.collect_every)
    }

    /// Frees what the roots do not lead to, and starts counting anew.
    pub(crate) fn collect(&mut self, roots: &mut Roots<'_>, reason: Reason) {
        self.observe_collection(roots, reason == Reason::Asked);
        let is_stressed = self.collect_every != 0 && self.collections.is_multiple_of(STRESSED_MAJOR);
        let reason = if is_stressed { Reason::Asked } else { reason };
        let live_bytes = self.plan.collect(&mut self.objects, roots, reason);
        self.allocated_bytes = 0;
        self.allocations = 0;
        self.quiet_bytes = live_bytes.max(QUIET_BYTES);
        self.collections += 1;
    }

    /// Notes from now on what happens. Whoever writes a reference takes it to be counted, and so tells.
    pub(crate) fn watch(&mut self) {
        self.barrier = Barrier::CountInHeader;
        self.observer = Some(Box::new(Observer::new(self.objects.start())));
    }

    /// Tells the observer, if there is one.
    pub(crate) fn observed<T>(&mut self, tell: impl FnOnce(&mut Observer) -> T) -> Option<T> {
        self.observer.as_deref_mut().map(tell)
    }

    /// What the roots lead to, as the observer knows it.
    pub(crate) fn live_ordinals(&mut self, roots: &Roots<'_>) -> Ordinals {
        let live = self.live_addresses(roots);
        self.observed(|observer| observer.ordinals(live.into_iter())).unwrap_or_default()
    }

    /// What the roots lead to, in the order in which a breadth-first trace meets it.
    pub(crate) fn ordinals_in_trace_order(&mut self, roots: &Roots<'_>) -> Result<Vec<usize>> {
        let start = self.objects.start();
        let met = evacuate::breadth_first(&mut self.objects, roots)?;
        let addresses = met.into_iter().map(|word| start + word as u64 * 8);
        Ok(self.observed(|observer| observer.in_order(addresses)).unwrap_or_default())
    }

    /// Gets the heap ready for the first fork.
    pub(crate) fn prepare_fork(&mut self, at_fork: AtFork, roots: &mut Roots<'_>) -> Result<()> {
        if at_fork.compacts() {
            self.plan.compact(&mut self.objects, roots)?;
        }
        if at_fork.freezes() {
            self.plan.freeze(&mut self.objects, roots)?;
        }
        Ok(())
    }

    /// What everybody who writes a reference has to do.
    pub(crate) fn barrier(&self) -> Barrier {
        self.barrier
    }

    /// Where compiled code finds the cards, for [`Barrier::Cards`].
    pub(crate) fn cards(&self) -> Option<CardAddresses> {
        self.plan.cards(&self.objects)
    }

    /// How many collections ran since the program was loaded.
    pub(crate) fn collections(&self) -> u64 {
        self.collections
    }

    pub(super) fn word(&self, address: u64, offset: u64) -> usize {
        usize::try_from(address.wrapping_add(offset).wrapping_sub(self.objects.start()) / 8)
            .unwrap_or(usize::MAX)
    }

    pub(crate) fn load(&self, address: u64, offset: u64) -> u64 {
        self.objects.get(self.word(address, offset))
    }

    pub(crate) fn store(&mut self, address: u64, offset: u64, word: u64) {
        let index = self.word(address, offset);
        self.observed(|observer| observer.stores(address, offset, word));
        self.objects.set(index, word);
    }

    pub(crate) fn header(&self, address: u64) -> Header {
        Header(self.load(address, 0))
    }

    /// The object's kind, if the value is an object.
    pub(crate) fn kind(&self, value: Value) -> Option<Kind> {
        value.as_address().map(|address| self.header(address).kind())
    }

    /// The address of an object of this kind.
    pub(crate) fn address_of(&self, value: Value, kind: Kind) -> Option<u64> {
        value.as_address().filter(|address| self.header(*address).kind() == kind)
    }

    /// The `index`-th field, capture, or cell content.
    pub(crate) fn slot(&self, address: u64, index: u64) -> Value {
        Value(self.load(address, BODY + 8 * index))
    }

    /// Bytes of a string.
    pub(crate) fn text(&self, address: u64) -> &[u8] {
        let length = self.header(address).upper() as usize;
        self.objects.bytes(self.word(address, BODY), length)
    }

    /// Fills a new string with the bytes.
    pub(crate) fn write_text(&mut self, address: u64, bytes: &[u8]) {
        let index = self.word(address, BODY);
        self.objects.write_bytes(index, bytes);
        self.observed(|observer| observer.filled(address, BODY, bytes.len() as u64));
    }

    /// Fills a new string with two others.
    pub(crate) fn join_texts(&mut self, address: u64, left: u64, right: u64) {
        let (left_bytes, right_bytes) = (self.text(left).len(), self.text(right).len());
        let to = self.word(address, BODY);
        self.objects.copy_within(self.word(left, BODY), (to, 0), left_bytes);
        self.objects.copy_within(self.word(right, BODY), (to, left_bytes), right_bytes);
        self.observed(|observer| observer.filled(address, BODY, (left_bytes + right_bytes) as u64));
    }

    pub(crate) fn list_len(&self, list: u64) -> u64 {
        self.load(list, LIST_COUNT)
    }

    pub(crate) fn list_item(&self, list: u64, index: u64) -> Value {
        Value(self.load(self.load(list, LIST_ARRAY), BODY + 8 * index))
    }

    pub(super) fn copy_items(&mut self, from: u64, to: u64, count: u64) {
        let target = (self.word(to, BODY), 0);
        let bytes = usize::try_from(count * 8).unwrap_or(usize::MAX);
        self.objects.copy_within(self.word(from, BODY), target, bytes);
        self.observed(|observer| observer.filled(to, BODY, count * 8));
    }

    /// The heap's own memory, by name.
    pub(crate) fn regions(&self) -> Vec<Region> {
        self.plan.regions(&self.objects)
    }
}
