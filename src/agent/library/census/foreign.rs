//! Arrays and deques: types of extension modules, which no symbol names and whose layouts `CPython` does
//! not promise. No pointer of theirs is followed that the kernel does not say is readable.

use super::layout::{
    FLAG_HEAP_TYPE, FLAG_IMMUTABLE, OB_SIZE, OB_TYPE, TP_BASE, TP_BASICSIZE, TP_FLAGS, TP_NAME, word,
};
use super::plans::Look;
use super::text::Text;
use super::visit::Visit;
use crate::wire::CensusObject;

/// Names of the types, and the least bytes of their objects.
const TYPES: [(&[u8], u64, Look); 3] = [
    (b"array.array", 64, Look::Array),
    (b"numpy.ndarray", 80, Look::NdArray),
    (b"collections.deque", 80, Look::Deque),
];

/// `arrayobject` (`Modules/arraymodule.c`): items, room for items, and a `struct arraydescr` whose second
/// half word tells the bytes of an item.
const ARRAY_ITEMS: usize = 24;
const ARRAY_ALLOCATED: usize = 32;
const ARRAY_DESCR: usize = 40;
const MOST_ITEM_BYTES: u64 = 16;

/// `PyArrayObject_fields` (`numpy/ndarraytypes.h`), the same in numpy 1 and 2.
const NDARRAY_DATA: usize = 16;
const NDARRAY_DIMENSIONS: usize = 24;
const NDARRAY_SHAPE: usize = 32;
const NDARRAY_STRIDES: usize = 40;
const NDARRAY_BASE: usize = 48;
const NDARRAY_DESCR: usize = 56;
const NDARRAY_FLAGS: usize = 64;
const OWNS_DATA: u64 = 4;
/// `NPY_MAXDIMS`.
const MOST_DIMENSIONS: u64 = 64;
/// `kind` of a `PyArray_Descr`: `O` where items are references.
const DESCR_KIND: u64 = 24;

/// `dequeobject` (`Modules/_collectionsmodule.c`): its first and last `BLOCK`, of which each has a link,
/// 64 items, and the link to the next.
const DEQUE_FIRST: usize = 24;
const DEQUE_LAST: usize = 32;
const BLOCK_ITEMS: u64 = 64;
const BLOCK_NEXT: usize = 520;
const BLOCK_BYTES: u64 = 528;

/// What objects of a type hold, if it is or derives from such a type. A class statement cannot make one.
///
/// # Safety
///
/// `ty` must be a live type.
pub unsafe fn look(ty: u64) -> Option<Look> {
    let mut ty = ty;
    // SAFETY: promised by the caller; the base of a live type is null or live.
    unsafe {
        while ty != 0 {
            let (flags, name) = (word(ty, TP_FLAGS), word(ty, TP_NAME));
            if name != 0 && flags & (FLAG_HEAP_TYPE | FLAG_IMMUTABLE) != FLAG_HEAP_TYPE {
                let name = Text::of_c(name);
                let known = TYPES.iter().find(|known| known.0 == name.bytes());
                if let Some(known) = known.filter(|known| word(ty, TP_BASICSIZE) >= known.1) {
                    return Some(known.2);
                }
            }
            ty = word(ty, TP_BASE);
        }
    }
    None
}

/// The data of a numpy array.
struct Extent {
    bytes: u64,
    items: u64,
}

impl Visit {
    /// The buffer of an `array.array`.
    ///
    /// # Safety
    ///
    /// `object` must be live and of such a type.
    pub unsafe fn follow_array(&mut self, object: u64, node: u32, ty: u32) {
        // SAFETY: promised by the caller; what it points to is read where it is readable.
        unsafe {
            let (items, descr) = (word(object, ARRAY_ITEMS), word(object, ARRAY_DESCR));
            if !self.is_readable(descr) {
                return;
            }
            let (allocated, item_bytes) = (word(object, ARRAY_ALLOCATED), word(descr, 0) >> 32);
            if word(object, OB_SIZE) <= allocated && (1..=MOST_ITEM_BYTES).contains(&item_bytes) {
                let bytes = allocated.saturating_mul(item_bytes);
                self.add_foreign_buffer(items, bytes, ty, node, CensusObject::BYTES);
            }
        }
    }

    /// The data of a `numpy.ndarray` that owns them, the objects among them, and whose view it is.
    ///
    /// # Safety
    ///
    /// `object` must be live and of such a type.
    pub unsafe fn follow_ndarray(&mut self, object: u64, node: u32, ty: u32) {
        // SAFETY: promised by the caller; what it points to is read where it is readable.
        unsafe {
            let (data, descr) = (word(object, NDARRAY_DATA), word(object, NDARRAY_DESCR));
            self.add_member(word(object, NDARRAY_BASE), b"base", node);
            self.add_member(descr, b"dtype", node);
            if word(object, NDARRAY_FLAGS) & OWNS_DATA == 0 {
                return;
            }
            let Some(extent) = self.extent_of_ndarray(object) else { return };
            let is_listed = self.add_foreign_buffer(data, extent.bytes, ty, node, CensusObject::BYTES);
            let holds_objects = self.is_readable(descr.wrapping_add(DESCR_KIND))
                && word(descr, DESCR_KIND as usize) & 0xff == u64::from(b'O');
            if is_listed && holds_objects && extent.items.checked_mul(8) == Some(extent.bytes) {
                self.follow_items(data, extent.items, node);
            }
        }
    }

    /// The blocks of a deque: its items it tells itself.
    ///
    /// # Safety
    ///
    /// `object` must be live and of such a type.
    pub unsafe fn follow_deque(&mut self, object: u64, node: u32, ty: u32) {
        // SAFETY: promised by the caller; what it points to is read where it is readable.
        unsafe {
            let (mut block, last) = (word(object, DEQUE_FIRST), word(object, DEQUE_LAST));
            for _ in 0..word(object, OB_SIZE) / BLOCK_ITEMS + 2 {
                let is_listed = self.add_foreign_buffer(block, BLOCK_BYTES, ty, node, CensusObject::ITEMS);
                if !is_listed || block == last {
                    return;
                }
                block = word(block, BLOCK_NEXT);
            }
        }
    }

    /// An object that a foreign one refers to, if it looks like one.
    ///
    /// # Safety
    ///
    /// `value` must be null, or the reference of a live object.
    unsafe fn add_member(&mut self, value: u64, name: &'static [u8], node: u32) {
        // SAFETY: promised by the caller; the type is read where it is readable.
        let is_object = self.plausible(value) && self.plausible(unsafe { word(value, OB_TYPE) });
        if is_object && self.seen.is_new(value) {
            let below = self.paths.attribute(node, &Text::Lasting(name));
            self.add(value, below);
        }
    }

    /// Whether the buffer is one, and is listed.
    fn add_foreign_buffer(&mut self, start: u64, bytes: u64, ty: u32, node: u32, kind: u32) -> bool {
        let last = start.checked_add(bytes.wrapping_sub(1));
        let is_one =
            bytes != 0 && last.is_some_and(|last| self.is_readable(start) && self.is_readable(last & !7));
        if is_one {
            self.add_buffer(start, bytes, ty, node, kind);
        }
        is_one
    }

    /// From the first to the last byte that shape and strides lead to. The bytes of an item are the least
    /// stride, since data that an array owns are contiguous; where they stand in the `PyArray_Descr`
    /// differs between numpy 1 and 2.
    ///
    /// # Safety
    ///
    /// `object` must be a live `numpy.ndarray`.
    unsafe fn extent_of_ndarray(&mut self, object: u64) -> Option<Extent> {
        // SAFETY: promised by the caller; shape and strides are read where they are readable.
        unsafe {
            let dimensions = word(object, NDARRAY_DIMENSIONS) & 0xffff_ffff;
            let (shape, strides) = (word(object, NDARRAY_SHAPE), word(object, NDARRAY_STRIDES));
            // Malloc gives no less than a word.
            let mut extent = Extent { bytes: 8, items: 1 };
            if dimensions == 0 {
                return Some(extent);
            }
            let last = 8 * (dimensions - 1);
            let mut ends = [shape, strides].into_iter().flat_map(|at| [at, at.saturating_add(last)]);
            if dimensions > MOST_DIMENSIONS || !ends.all(|at| self.is_readable(at)) {
                return None;
            }
            let (mut reach, mut item_bytes) = (0_u64, word(strides, last as usize));
            for at in (0..dimensions as usize).map(|index| 8 * index) {
                let (count, stride) = (word(shape, at), word(strides, at));
                extent.items = extent.items.checked_mul(count)?;
                reach = reach.checked_add(count.checked_sub(1)?.checked_mul(stride)?)?;
                if count > 1 && stride != 0 {
                    item_bytes = item_bytes.min(stride);
                }
            }
            extent.bytes = reach.checked_add(item_bytes)?;
            Some(extent)
        }
    }
}
