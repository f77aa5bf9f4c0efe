//! Reading a target's memory, wherever it is.

use crate::kernel::remote::SharedMemory;

/// Strings that end with a zero byte are read in pieces of so many bytes, none of which crosses a page.
const PIECE: u64 = 64;

/// Memory of a process: live, of its frozen sibling, or made up by a test.
pub trait Memory {
    /// Fills `buffer` with the bytes at `address`; whether it could.
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool;

    /// The 64-bit word at an address.
    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes).then(|| u64::from_le_bytes(bytes))
    }

    /// The 32-bit word at an address.
    fn half(&self, address: u64) -> Option<u32> {
        let mut bytes = [0; 4];
        self.read(address, &mut bytes).then(|| u32::from_le_bytes(bytes))
    }

    /// The byte at an address.
    fn byte(&self, address: u64) -> Option<u8> {
        let mut bytes = [0];
        self.read(address, &mut bytes).then_some(bytes[0])
    }

    /// So many bytes at an address. The caller bounds `len`: it often comes from the target.
    fn bytes(&self, address: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.read(address, &mut bytes).then_some(bytes)
    }

    /// The text up to the first zero byte; cut off after `limit` bytes.
    fn c_string(&self, address: u64, limit: usize) -> Option<String> {
        let mut text = Vec::new();
        while text.len() < limit {
            let at = address.checked_add(text.len() as u64)?;
            let piece = self.bytes(at, usize::try_from(PIECE - at % PIECE).ok()?)?;
            let end = piece.iter().position(|byte| *byte == 0);
            text.extend_from_slice(&piece[..end.unwrap_or(piece.len())]);
            if end.is_some() {
                break;
            }
        }
        text.truncate(limit);
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}

impl<F: Fn(u64, &mut [u8]) -> bool> Memory for F {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        self(address, buffer)
    }
}

impl Memory for SharedMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        self.read_bytes(address, buffer).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_at_16(address: u64, buffer: &mut [u8]) -> bool {
        let all: Vec<u8> =
            std::iter::repeat_n(b'x', 100).chain([0]).chain(std::iter::repeat_n(b'y', 91)).collect();
        let Some(start) = address.checked_sub(16).and_then(|start| usize::try_from(start).ok()) else {
            return false;
        };
        let Some(part) = all.get(start..start + buffer.len()) else { return false };
        buffer.copy_from_slice(part);
        true
    }

    #[test]
    fn strings_end_at_their_zero_or_at_the_limit() {
        let memory: &dyn Memory = &text_at_16;
        assert_eq!(memory.c_string(16, 1000), Some("x".repeat(100)));
        assert_eq!(memory.c_string(20, 7), Some("xxxxxxx".into()));
        assert_eq!(memory.c_string(8, 7), None);
    }
}
