//! Attributes and slots of objects whose class is written in Python.

use super::layout::{FLAG_INLINE_VALUES, FLAG_MANAGED_DICT, OB_TYPE, word};
use super::plans::Plan;
use super::sizes;
use super::text::Text;
use super::visit::Visit;
use crate::heap::dicts::Keys;
use crate::sys;
use crate::wire::CensusObject;

/// Where an instance keeps its attributes.
enum Values {
    None,
    Dict(u64),
    /// An array of them, and whether it is an allocation of its own.
    Array {
        first: u64,
        apart: bool,
    },
}

impl Visit {
    /// # Safety
    ///
    /// `object` must be live and of the type.
    pub unsafe fn follow_instance(&mut self, object: u64, node: u32, ty: u32, plan: &Plan) {
        // SAFETY: promised by the caller.
        unsafe {
            let [first, count] = plan.slots;
            for index in first..first + count {
                let slot = self.census.names()[index as usize];
                if slot.offset != 0 && slot.offset < plan.basic_size {
                    let value = word(object, slot.offset as usize);
                    if self.seen.is_new(value) && self.plausible(value) {
                        let name = Text::Lasting(self.census.text(slot.at, slot.len as usize));
                        let below = self.paths.attribute(node, &name);
                        self.add(value, below);
                    }
                }
            }
            match self.values_of(object, plan) {
                Values::Dict(dict) => self.follow_attributes(dict, node),
                Values::Array { first, apart } => {
                    self.follow_values(first, node, plan);
                    let keys = word(plan.address, self.version.qualified_name + 8);
                    if apart && keys != 0 {
                        let keys = Keys::read(keys, self.version.minor);
                        let (start, bytes) = self.extent_of_values(first, &keys);
                        self.add_buffer(start, bytes, ty, node, CensusObject::VALUES);
                    }
                }
                Values::None => {}
            }
            if self.seen.is_new(plan.address) {
                let below = self.paths.native(node, b"type");
                self.add(plan.address, below);
            }
        }
    }

    /// Where each version keeps dict and values: `Include/internal/pycore_object.h`, `pycore_dict.h`.
    ///
    /// # Safety
    ///
    /// `object` must be live and of the type.
    unsafe fn values_of(&self, object: u64, plan: &Plan) -> Values {
        // SAFETY: promised by the caller.
        unsafe {
            if self.version.minor >= 11 && plan.flags & FLAG_MANAGED_DICT != 0 {
                let dict = word(object - 24, 0);
                return match self.version.minor {
                    11 => match word(object - 32, 0) {
                        0 => Values::Dict(dict),
                        first => Values::Array { first, apart: true },
                    },
                    12 if dict & 1 == 1 => Values::Array { first: dict + 1, apart: true },
                    13 if dict == 0 && plan.flags & FLAG_INLINE_VALUES != 0 => {
                        let header = object + u64::from(plan.basic_size);
                        let valid = word(header, 0) >> 24 & 0xff != 0;
                        if valid { Values::Array { first: header + 8, apart: false } } else { Values::None }
                    }
                    _ => Values::Dict(dict),
                };
            }
            match plan.dict_offset {
                0 => Values::None,
                offset if offset > 0 => Values::Dict(word(object, offset as usize)),
                offset => {
                    let items = sizes::items(object, plan.tail, self.version);
                    let end = u64::from(plan.basic_size) + items * u64::from(plan.item_size);
                    Values::Dict(word(object, (end.next_multiple_of(8) as i64 + offset) as usize))
                }
            }
        }
    }

    /// # Safety
    ///
    /// `values` must be those of an instance of the type, with room for one of each attribute.
    unsafe fn follow_values(&mut self, values: u64, node: u32, plan: &Plan) {
        let [first, count] = plan.attributes;
        for (index, name) in (first..first + count).enumerate() {
            // SAFETY: promised by the caller.
            let value = unsafe { word(values, index * 8) };
            if value != 0 && self.seen.is_new(value) {
                let name = self.census.names()[name as usize];
                let name = Text::Lasting(self.census.text(name.at, name.len as usize));
                let below = self.paths.attribute(node, &name);
                self.add(value, below);
            }
        }
    }

    /// First byte and length of values that are an allocation of their own. None, where they are part
    /// of an instance.
    ///
    /// # Safety
    ///
    /// `values` must be such values, of a dict or instance with these keys.
    pub unsafe fn extent_of_values(&self, values: u64, keys: &Keys) -> (u64, u64) {
        // SAFETY: promised by the caller.
        unsafe {
            match self.version.minor {
                ..11 => (values, keys.room * 8),
                // The order of insertion stands in front, its size in the byte before the values: that
                // of a size and a count, rounded up.
                11 | 12 => {
                    let before = word(values - 8, 0) >> 56;
                    let count = keys.usable.max(before.saturating_sub(9));
                    (values - before, before + count * 8)
                }
                _ if word(values, 0) >> 16 & 0xff != 0 => (0, 0),
                _ => (values, sizes::inline_values(values)),
            }
        }
    }

    /// Members of other kinds than references may stand among the slots of native bases.
    pub fn plausible(&mut self, value: u64) -> bool {
        self.is_readable(value.wrapping_add(OB_TYPE as u64))
    }

    /// Whether a word of memory can be read: one that is aligned, and no small number.
    pub fn is_readable(&mut self, at: u64) -> bool {
        const PAGE: u64 = 4096;
        if at & 7 != 0 || at < 1 << 16 || at >= 1 << 47 {
            return false;
        }
        if at / PAGE != self.readable_page {
            if !sys::readable(at) {
                return false;
            }
            self.readable_page = at / PAGE;
        }
        true
    }
}
