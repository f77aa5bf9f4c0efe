//! The seam between the heap and its memory policies.

use super::barrier::Barrier;
use super::mark_bitmap::MarkBitmap;
use super::mark_header::MarkHeader;
use super::object::Header;
use super::roots::Roots;
use super::{refcount, refcount_side};
use crate::error::{Error, Result};
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

    /// Frees an object that nothing refers to, and whatever only it kept alive. Answers how many bytes
    /// were given back.
    fn free(&mut self, _objects: &mut Words, _word: usize) -> u64 {
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

    /// Puts live objects together without gaps, in the zygote and before the first fork.
    fn compact(&mut self, objects: &mut Words, roots: &mut Roots<'_>);

    /// Leaves everything there is alone from now on: never marked, counted or moved.
    fn freeze(&mut self, objects: &mut Words);

    /// The memory of the policy, and the parts of the heap, by name.
    fn regions(&self, objects: &Words) -> Vec<Region>;
}

/// The policy that was asked for, for a heap of so many bytes.
pub(super) fn new(options: &ToyOptions, heap_bytes: u64) -> Result<Box<dyn Plan>> {
    Ok(match options.gc {
        GcPolicy::Refcount => Box::new(refcount::new(options.alloc, heap_bytes)?),
        GcPolicy::RefcountSide => Box::new(refcount_side::new(options.alloc, heap_bytes)?),
        GcPolicy::MarkHeader => Box::new(MarkHeader::new(options.alloc, heap_bytes)?),
        GcPolicy::MarkBitmap => Box::new(MarkBitmap::new(options.alloc, heap_bytes)?),
        other => return Err(Error::new(format!("the memory policy {other} is not there yet"))),
    })
}
