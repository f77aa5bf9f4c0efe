//! Names: the characters of `str` objects, as UTF-8.

use super::layout::{FLAG_STR, OB_TYPE, STR_LENGTH, STR_STATE, TP_FLAGS, Version, word};
use core::ffi::{CStr, c_char};

/// Names longer than this are cut.
pub const MOST_BYTES: usize = 200;
const COMPACT: u64 = 1 << 5;
const ASCII: u64 = 1 << 6;

/// A name.
pub enum Text {
    /// Where it stands, which it does for as long as the child lives.
    Lasting(&'static [u8]),
    /// Characters that are not ASCII, encoded.
    Encoded([u8; MOST_BYTES], usize),
}

impl Text {
    /// The characters of a compact string; none for other objects.
    ///
    /// # Safety
    ///
    /// `object` must be null or a live object.
    pub unsafe fn of(object: u64, version: Version) -> Option<Self> {
        // SAFETY: promised by the caller; the length is that of the string.
        unsafe {
            if object == 0 || word(word(object, OB_TYPE), TP_FLAGS) & FLAG_STR == 0 {
                return None;
            }
            let (state, len) = (word(object, STR_STATE), word(object, STR_LENGTH) as usize);
            if state & COMPACT == 0 {
                return None;
            }
            let is_ascii = state & ASCII != 0;
            let at = object as usize + version.text_at[usize::from(!is_ascii)];
            if is_ascii {
                return Some(Self::Lasting(core::slice::from_raw_parts(
                    at as *const u8,
                    len.min(MOST_BYTES),
                )));
            }
            Some(encode((0..len).map(|index| match state >> 2 & 7 {
                1 => u32::from(*(at as *const u8).add(index)),
                2 => u32::from(*(at as *const u16).add(index)),
                _ => *(at as *const u32).add(index),
            })))
        }
    }

    /// A string of C.
    ///
    /// # Safety
    ///
    /// `address` must be a string that ends in NUL and lives on.
    pub unsafe fn of_c(address: u64) -> Self {
        // SAFETY: promised by the caller.
        let text = unsafe { CStr::from_ptr(address as *const c_char) }.to_bytes();
        Self::Lasting(&text[..text.len().min(MOST_BYTES)])
    }

    /// UTF-8, at most [`MOST_BYTES`].
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Lasting(bytes) => bytes,
            Self::Encoded(bytes, len) => &bytes[..*len],
        }
    }

    /// Tells the name without comparing it; 0 when only comparing tells.
    pub fn identity(&self) -> u64 {
        match self {
            Self::Lasting(bytes) => bytes.as_ptr() as u64,
            Self::Encoded(..) => 0,
        }
    }
}

fn encode(characters: impl Iterator<Item = u32>) -> Text {
    let (mut bytes, mut len) = ([0; MOST_BYTES], 0);
    for character in characters.map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)) {
        if len + character.len_utf8() > MOST_BYTES {
            break;
        }
        len += character.encode_utf8(&mut bytes[len..]).len();
    }
    Text::Encoded(bytes, len)
}
