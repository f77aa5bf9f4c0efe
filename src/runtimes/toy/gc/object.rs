//! How objects look in memory: one header word, then the body.
//!
//! | header bits | meaning                                                              |
//! | ----------- | -------------------------------------------------------------------- |
//! | 0–7         | kind                                                                 |
//! | 8           | mark, under the header policy only                                   |
//! | 16–31       | number of fields or captures                                         |
//! | 32–63       | record: `0x8000_0000 + shape`; closure: `0x4000_0000 + function`;    |
//! |             | string: bytes; array: room for so many items                         |
//!
//! The upper half alone tells a record's shape and a closure's function, so that compiled code can
//! compare it with one 32-bit immediate.

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
}

/// Marks the upper half of a record's header.
pub(crate) const SHAPE_TAG: u32 = 0x8000_0000;
/// Marks the upper half of a closure's header.
pub(crate) const FUNCTION_TAG: u32 = 0x4000_0000;
/// Strings and arrays are shorter than this, so that their lengths are never taken for tags.
pub(crate) const LENGTH_LIMIT: u64 = 1 << 30;
/// The mark bit of the header policy.
pub(super) const MARK: u64 = 1 << 8;

/// Offset of a list's count, in bytes.
pub(crate) const LIST_COUNT: u64 = 8;
/// Offset of the address of a list's array, in bytes.
pub(crate) const LIST_ARRAY: u64 = 16;
/// Offset of the first byte, item, field, capture or value.
pub(crate) const BODY: u64 = 8;

/// The first word of every object.
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
            _ => Kind::Int,
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
            Kind::Array => 8 * self.upper() as u64,
            Kind::Record | Kind::Closure => 8 * self.count(),
            Kind::Cell | Kind::Int => 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_what_they_were_made_of() {
        let record = Header::new(Kind::Record, 3, SHAPE_TAG | 9);
        assert_eq!((record.kind(), record.count(), record.shape(), record.size()), (Kind::Record, 3, 9, 32));
        let closure = Header::new(Kind::Closure, 0, FUNCTION_TAG | 5);
        assert_eq!((closure.kind(), closure.function(), closure.size()), (Kind::Closure, 5, 8));
        assert_eq!(Header::new(Kind::Text, 0, 5).size(), 13);
        assert_eq!(Header::new(Kind::Array, 0, 4).size(), 40);
    }
}
