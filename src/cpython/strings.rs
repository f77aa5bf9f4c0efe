//! Reads the text of `str` and the contents of `bytes` objects (`Include/cpython/unicodeobject.h`).

use super::memory::Memory;
use super::offsets::Offsets;

/// No name or path is longer; a longer text is cut off there. In characters.
const MAX_CHARACTERS: u64 = 4096;
/// Contents of bytes objects beyond this are not read: the length may be hostile.
const MAX_BYTES: u64 = 16 << 20;

/// `state`, from its lowest bit on: `interned` 2 bits, `kind` 3, `compact`, `ascii`.
#[derive(Debug, Clone, Copy)]
struct State(u32);

impl State {
    /// Bytes of a character: 1, 2 or 4.
    const fn kind(self) -> u32 {
        self.0 >> 2 & 7
    }

    const fn text(self) -> Text {
        match self.0 >> 5 & 3 {
            0b11 => Text::Ascii,
            0b01 => Text::Compact,
            _ => Text::Apart,
        }
    }
}

/// Where a string has its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// Behind a `PyASCIIObject`; it is its own UTF-8.
    Ascii,
    /// Behind a `PyCompactUnicodeObject`.
    Compact,
    /// In memory of its own, as `PyUnicodeObject` says: strings of derived types.
    Apart,
}

/// The text of the `str` object at an address, cut off after 4096 characters.
pub fn read_str(memory: &dyn Memory, offsets: &Offsets, address: u64) -> Option<String> {
    let layout = &offsets.strings;
    let state = State(memory.half(address.checked_add(layout.state)?)?);
    let length = memory.word(address.checked_add(layout.length)?)?.min(MAX_CHARACTERS);
    let text = match state.text() {
        Text::Ascii => address.checked_add(layout.ascii_text)?,
        Text::Compact => address.checked_add(layout.compact_text)?,
        Text::Apart => memory.word(address.checked_add(layout.text_pointer)?)?,
    };
    let bytes = memory.bytes(text, usize::try_from(length * u64::from(state.kind())).ok()?)?;
    decode(&bytes, state.kind())
}

/// Where a `str` object has its text.
pub fn text_of(memory: &dyn Memory, offsets: &Offsets, address: u64) -> Option<Text> {
    let state = State(memory.half(address.checked_add(offsets.strings.state)?)?);
    Some(state.text())
}

fn decode(bytes: &[u8], kind: u32) -> Option<String> {
    let character = |code: u32| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    match kind {
        1 => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        2 => {
            Some(bytes.as_chunks().0.iter().map(|pair| character(u16::from_le_bytes(*pair).into())).collect())
        }
        4 => Some(bytes.as_chunks().0.iter().map(|four| character(u32::from_le_bytes(*four))).collect()),
        _ => None,
    }
}

/// The contents of the `bytes` object at an address; `None` also if it claims more than 16 MiB.
pub fn read_bytes(memory: &dyn Memory, offsets: &Offsets, address: u64) -> Option<Vec<u8>> {
    let length = bytes_length(memory, offsets, address)?;
    memory.bytes(address.checked_add(offsets.bytes.1)?, usize::try_from(length).ok()?)
}

/// The length of the `bytes` object at an address, if it is at most 16 MiB.
pub fn bytes_length(memory: &dyn Memory, offsets: &Offsets, address: u64) -> Option<u64> {
    memory.word(address.checked_add(offsets.bytes.0)?).filter(|length| *length <= MAX_BYTES)
}
