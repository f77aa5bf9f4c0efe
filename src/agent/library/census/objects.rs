//! The set of objects seen so far, by address.

use super::table::{Census, FREE, Slots, mix};
use crate::wire::{CensusObject, MOST_OBJECTS};

/// A hash table of indices into the census, at most three quarters full. The bits of a slot above the
/// index are a few of the hash, so that most slots of other objects are passed over without a look.
pub struct Objects {
    census: Census,
    slots: Slots,
    used: usize,
}

/// Bits of an index.
const INDEX_BITS: u32 = MOST_OBJECTS.trailing_zeros();

impl Objects {
    pub fn new(census: Census) -> Option<Self> {
        Some(Self { census, slots: Slots::new(1 << 20)?, used: 0 })
    }

    /// Whether an object was not seen before.
    pub fn is_new(&self, address: u64) -> bool {
        self.free_slot(address).is_some()
    }

    /// Adds an object that was not seen before; `None` when it was, or when there is no room.
    pub fn add(&mut self, object: CensusObject) -> Option<u32> {
        if self.used * 4 >= self.slots.count * 3 {
            self.grow()?;
        }
        let slot = self.free_slot(object.start)?;
        let index = self.census.push_object(object)?;
        self.slots.set(slot, tagged(index, mix(object.start)));
        self.used += 1;
        Some(index)
    }

    /// Where an address belongs; `None` when it is there already.
    fn free_slot(&self, address: u64) -> Option<usize> {
        let objects = self.census.objects();
        let hash = mix(address);
        for slot in self.slots.probe(hash) {
            let found = self.slots.get(slot);
            if found == FREE {
                return Some(slot);
            }
            let index = found & ((1 << INDEX_BITS) - 1);
            if found == tagged(index, hash) && objects[index as usize].start == address {
                return None;
            }
        }
        None
    }

    fn grow(&mut self) -> Option<()> {
        let mut larger = Slots::new(self.slots.count * 2)?;
        for (index, object) in (0..).zip(self.census.objects().iter()) {
            if object.kind == CensusObject::OBJECT {
                let hash = mix(object.start);
                let slot = larger.probe(hash).find(|&slot| larger.get(slot) == FREE)?;
                larger.set(slot, tagged(index, hash));
            }
        }
        self.slots = larger;
        Some(())
    }
}

fn tagged(index: u32, hash: u64) -> u32 {
    index | (hash as u32 >> INDEX_BITS) << INDEX_BITS
}
