//! The seam between the heap and its memory policies.

use super::barrier::Barrier;
use super::compacting::Compacting;
use super::copying::Copying;
use super::generational::Generational;
use super::generational::cards::CardAddresses;
use super::mark_bitmap::MarkBitmap;
use super::mark_header::MarkHeader;
use super::none::Never;
use super::object::Header;
use super::room::Room;
use super::roots::Roots;
use super::{refcount, refcount_side};
use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::memory::words::Words;
use crate::runtimes::toy::options::{GcPolicy, ToyOptions};
use std::collections::BTreeMap;

/// Why a collection runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Enough was allocated since the last one.
    Due,
    /// An allocation found no room.
    Full,
    /// The program asked for it: everything dead has to go.
    Asked,
}

/// One memory policy. It owns the tables beside the heap; the objects belong to the heap and are
/// passed in.
///
/// Collections run between instructions only, so no address is held anywhere but in objects and roots.
pub(crate) trait Plan {
    /// Makes room for an object and writes both words of its header. Nothing when there is no room.
    fn allocate(&mut self, objects: &mut Words, header: Header) -> Option<usize>;

    /// Frees what the roots do not lead to. Answers how many bytes stay alive.
    fn collect(&mut self, objects: &mut Words, roots: &mut Roots<'_>, reason: Reason) -> u64;

    /// Bytes of address space to map for the objects.
    fn address_space(&self) -> u64;

    /// What everybody who writes a reference has to do.
    fn barrier(&self) -> Barrier {
        Barrier::None
    }

    /// Counts one more reference to the object.
    fn retain(&mut self, _objects: &mut Words, _word: usize) {}

    /// Counts one reference to the object less. Answers whether that was the last one.
    fn drop_reference(&mut self, _objects: &mut Words, _word: usize) -> bool {
        false
    }

    /// Frees an object that nothing refers to, and whatever only it kept alive: says of each where it
    /// began. Answers how many bytes were given back.
    fn free(&mut self, _objects: &mut Words, _word: usize, _freed: &mut dyn FnMut(usize)) -> u64 {
        0
    }

    /// The table of counts, if they stand beside the heap.
    fn count_table(&self) -> Option<&Words> {
        None
    }

    /// The count of every object there is, by the object's first word; none of an immortal one. Empty
    /// if nothing is counted.
    fn counts(&self, _objects: &Words) -> BTreeMap<usize, Option<u64>> {
        BTreeMap::new()
    }

    /// Where compiled code finds the cards, for [`Barrier::Cards`].
    fn cards(&self, _objects: &Words) -> Option<CardAddresses> {
        None
    }

    /// Notes that a reference to the second object was written into the first one, for
    /// [`Barrier::Cards`].
    fn mark_card(&mut self, _object: usize, _target: usize) {}

    /// Puts live objects together without gaps, in the zygote and before the first fork.
    fn compact(&mut self, objects: &mut Words, roots: &mut Roots<'_>) -> Result<()>;

    /// Leaves everything there is alone from now on: never marked, counted or moved. New objects get
    /// pages of their own.
    fn freeze(&mut self, objects: &mut Words, roots: &mut Roots<'_>) -> Result<()>;

    /// The memory of the policy, and the parts of the heap, by name.
    fn regions(&self, objects: &Words) -> Vec<Region>;
}

/// The policy that was asked for, for a heap whose objects may take so many bytes.
pub(super) fn new(options: &ToyOptions, heap_bytes: u64) -> Result<Box<dyn Plan>> {
    Ok(match options.gc {
        GcPolicy::Refcount => Box::new(refcount::new(Room::new(options, heap_bytes)?)),
        GcPolicy::RefcountSide => Box::new(refcount_side::new(Room::new(options, heap_bytes)?)?),
        GcPolicy::MarkHeader => Box::new(MarkHeader::new(Room::new(options, heap_bytes)?)),
        GcPolicy::MarkBitmap => Box::new(MarkBitmap::new(Room::new(options, heap_bytes)?)?),
        GcPolicy::Copying => Box::new(Copying::new(heap_bytes)),
        GcPolicy::Compacting => Box::new(Compacting::new(heap_bytes)?),
        GcPolicy::Generational => Box::new(Generational::new(heap_bytes)?),
        GcPolicy::None => Box::new(Never::new(Room::new(options, heap_bytes)?)),
    })
}
