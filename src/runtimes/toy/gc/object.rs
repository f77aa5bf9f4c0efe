//! How objects look in memory: two header words, then the body.
//!
//! The first word says what the object is and never changes:
//!
//! | bits  | meaning                                                                    |
//! | ----- | -------------------------------------------------------------------------- |
//! | 0–7   | kind                                                                       |
//! | 16–31 | number of fields or captures                                               |
//! | 32–63 | record: `0x8000_0000 + shape`; closure: `0x4000_0000 + function`;          |
//! |       | string: bytes; array: room for so many items                               |
//!
//! The second is the collector's: a mark, a count, a forwarding address, or nothing, as the memory
//! policy says.
//!
//! The upper half alone tells a record's shape and a closure's function, so that compiled code can
//! compare it with one 32-bit immediate.

use super::bits::GRANULE;

/// Every kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// UTF-8 bytes.
    Text = 1,
    /// Number of items, then the address of the array that holds them.
    List = 2,
    /// Items of one list. Only as many as the list says are initialised.
    Array = 3,
    /// Fields in the order of the shape.
    Record = 4,
    /// Addresses of the captured cells.
    Closure = 5,
    /// One captured variable.
    Cell = 6,
    /// An integer that needs all 64 bits.
    Int = 7,
    /// A float whose exponent does not fit into a value.
    Float = 8,
    /// Number of live entries, number of used ones, the array of keys and values by turns, and the
    /// bytes of the index into it.
    Map = 9,
}

/// Marks the upper half of a record's header.
pub(crate) const SHAPE_TAG: u32 = 0x8000_0000;
/// Marks the upper half of a closure's header.
pub(crate) const FUNCTION_TAG: u32 = 0x4000_0000;
/// Strings and arrays are shorter than this, so that their lengths are never taken for tags.
pub(crate) const LENGTH_LIMIT: u64 = 1 << 30;

/// Offset of the collector's word, in bytes.
pub(crate) const COLLECTOR_WORD: u64 = 8;
/// Offset of the first byte, item, field, capture or value.
pub(crate) const BODY: u64 = 16;
/// Offset of a list's count, in bytes.
pub(crate) const LIST_COUNT: u64 = 16;
/// Offset of the address of a list's array, in bytes.
pub(crate) const LIST_ARRAY: u64 = 24;
/// Offset of a map's number of entries that are not removed, in bytes.
pub(crate) const MAP_COUNT: u64 = 16;
/// Offset of a map's number of entries, removed ones included, in bytes.
pub(crate) const MAP_USED: u64 = 24;
/// Offset of the address of a map's array of keys and values, in bytes.
pub(crate) const MAP_ENTRIES: u64 = 32;
/// Offset of the address of a map's index, in bytes.
pub(crate) const MAP_INDEX: u64 = 40;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header(pub(crate) u64);

impl Header {
    pub(crate) const fn new(kind: Kind, count: u16, upper: u32) -> Self {
        Self(kind as u64 | (count as u64) << 16 | (upper as u64) << 32)
    }

    pub(crate) const fn kind(self) -> Kind {
        match self.0 & 0xff {
            1 => Kind::Text,
            2 => Kind::List,
            3 => Kind::Array,
            4 => Kind::Record,
            5 => Kind::Closure,
            6 => Kind::Cell,
            7 => Kind::Int,
            8 => Kind::Float,
            _ => Kind::Map,
        }
    }

    /// Fields of a record, captures of a closure.
    pub(crate) const fn count(self) -> u64 {
        self.0 >> 16 & 0xffff
    }

    pub(crate) const fn upper(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Index of a record's shape.
    pub(crate) const fn shape(self) -> u32 {
        self.upper() & !SHAPE_TAG
    }

    /// Index of a closure's function.
    pub(crate) const fn function(self) -> u32 {
        self.upper() & !FUNCTION_TAG
    }

    /// Bytes of the whole object.
    pub(crate) const fn size(self) -> u64 {
        BODY + match self.kind() {
            Kind::Text => self.upper() as u64,
            Kind::List => 16,
            Kind::Map => 32,
            Kind::Array => 8 * self.upper() as u64,
            Kind::Record | Kind::Closure => 8 * self.count(),
            Kind::Cell | Kind::Int | Kind::Float => 8,
        }
    }

    /// Words from the object to where the next one may begin.
    pub(crate) const fn words(self) -> usize {
        (self.size().next_multiple_of(GRANULE) / 8) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_what_they_were_made_of() {
        let record = Header::new(Kind::Record, 3, SHAPE_TAG | 9);
        assert_eq!((record.kind(), record.count(), record.shape(), record.size()), (Kind::Record, 3, 9, 40));
        let closure = Header::new(Kind::Closure, 0, FUNCTION_TAG | 5);
        assert_eq!((closure.kind(), closure.function(), closure.size()), (Kind::Closure, 5, 16));
        assert_eq!(Header::new(Kind::Text, 0, 5).size(), 21);
        assert_eq!(Header::new(Kind::Array, 0, 4).size(), 48);
    }
}
