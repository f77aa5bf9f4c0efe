//! The set of objects seen so far, by address.

use super::table::{Census, FREE, Slots, mix};
use crate::wire::CensusObject;

/// A hash table of indices into the census, at most three quarters full.
pub struct Objects {
    census: Census,
    slots: Slots,
    used: usize,
}

impl Objects {
    pub fn new(census: Census) -> Option<Self> {
        Some(Self { census, slots: Slots::new(1 << 20)?, used: 0 })
    }

    /// Adds an object that was not seen before; `None` when it was, or when there is no room.
    pub fn add(&mut self, object: CensusObject) -> Option<u32> {
        if self.used * 4 >= self.slots.count * 3 {
            self.grow()?;
        }
        let slot = self.free_slot(object.start)?;
        let index = self.census.push_object(object)?;
        self.slots.set(slot, index);
        self.used += 1;
        Some(index)
    }

    /// Whether an object was not seen before.
    pub fn is_new(&self, address: u64) -> bool {
        self.free_slot(address).is_some()
    }

    /// Where an address belongs; `None` when it is there already.
    fn free_slot(&self, address: u64) -> Option<usize> {
        let objects = self.census.objects();
        for slot in self.slots.probe(mix(address)) {
            match self.slots.get(slot) {
                FREE => return Some(slot),
                found if objects[found as usize].start == address => return None,
                _ => {}
            }
        }
        None
    }

    fn grow(&mut self) -> Option<()> {
        let mut larger = Slots::new(self.slots.count * 2)?;
        for (index, object) in (0..).zip(self.census.objects().iter()) {
            if object.kind == CensusObject::OBJECT {
                let slot = larger.probe(mix(object.start)).find(|&slot| larger.get(slot) == FREE)?;
                larger.set(slot, index);
            }
        }
        self.slots = larger;
        Some(())
    }
}
