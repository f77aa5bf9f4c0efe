//! The first word of an object of the toy runtime, as `src/runtimes/toy/gc/object.rs` lays it out.

use std::borrow::Cow;

/// Bytes of both header words, in front of every object's body.
pub(super) const HEADER: u64 = 16;

/// The first word of an object: kind in bits 0 to 7, number of fields in bits 16 to 31, and the
/// length of strings and arrays in the upper half.
#[derive(Clone, Copy)]
pub(super) struct Header(pub(super) u64);

impl Header {
    /// Whether objects of such a kind exist: what was never written is none.
    pub(super) const fn is_known(self) -> bool {
        matches!(self.0 & 0xff, 1..=9)
    }

    const fn fields(self) -> u64 {
        self.0 >> 16 & 0xffff
    }

    const fn length(self) -> u64 {
        self.0 >> 32
    }

    /// Bytes of the whole object.
    pub(super) const fn bytes(self) -> u64 {
        HEADER
            + match self.0 & 0xff {
                1 => self.length(),
                2 => 16,
                3 => 8 * self.length(),
                4 | 5 => 8 * self.fields(),
                9 => 32,
                _ => 8,
            }
    }

    pub(super) const fn type_name(self) -> &'static str {
        match self.0 & 0xff {
            1 => "toy Text",
            2 => "toy List",
            3 => "toy Array",
            4 => "toy Record",
            5 => "toy Closure",
            6 => "toy Cell",
            7 => "toy Int",
            8 => "toy Float",
            9 => "toy Map",
            _ => "toy object",
        }
    }

    /// The field at an offset in the body, in bytes.
    pub(super) fn field(self, offset: u64) -> Cow<'static, str> {
        match self.0 & 0xff {
            1 => "text".into(),
            2 | 9 if offset < 8 => "count".into(),
            2 => "array".into(),
            3 => "items".into(),
            4 => format!("field {}", offset / 8).into(),
            5 => format!("capture {}", offset / 8).into(),
            9 if offset < 16 => "used".into(),
            9 if offset < 24 => "entries".into(),
            9 => "index".into(),
            _ => "value".into(),
        }
    }
}
