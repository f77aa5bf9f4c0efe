//! Objects that follow each other without gaps, from the start of a space.

use super::header::Header;
use crate::family::Region;

/// Objects begin at multiples of so many bytes.
const ALIGNMENT: u64 = 16;
/// Bytes that are read at once.
const CHUNK: u64 = 64 << 10;

/// Where the objects of a space begin.
pub(super) struct Row {
    /// Ascending.
    starts: Vec<u64>,
    end: u64,
    /// Whether a collection left the address of a copy in any of them.
    was_left: bool,
}

impl Row {
    /// Goes from object to object, up to what was never written or cannot be read.
    pub fn read(space: &Region, read: &mut impl FnMut(u64, &mut [u8]) -> bool) -> Self {
        let mut row = Self { starts: Vec::new(), end: space.start, was_left: false };
        let mut chunk = Vec::new();
        let mut chunk_start = space.start;
        while row.end + ALIGNMENT <= space.end {
            let behind = chunk_start + chunk.len() as u64;
            if !(chunk_start..behind).contains(&row.end) {
                chunk_start = row.end;
                chunk.resize(usize::try_from(CHUNK.min(space.end - row.end)).unwrap_or(0), 0);
                if !read(chunk_start, &mut chunk) {
                    break;
                }
            }
            let words = usize::try_from(row.end - chunk_start).ok().and_then(|at| chunk.get(at..at + 16));
            let Some(&[header, collector]) = words.map(|words| words.as_chunks::<8>().0) else { break };
            let header = Header(u64::from_le_bytes(header));
            if !header.is_known() {
                break;
            }
            row.was_left |= collector != [0; 8];
            row.starts.push(row.end);
            row.end += header.bytes().next_multiple_of(ALIGNMENT);
        }
        row
    }

    pub const fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    pub const fn was_left(&self) -> bool {
        self.was_left
    }

    /// Where the last object begins that begins at the address or before it.
    pub fn object_before(&self, address: u64) -> Option<u64> {
        let behind = self.starts.partition_point(|start| *start <= address);
        self.starts[..behind].last().copied().filter(|_| address < self.end)
    }
}
