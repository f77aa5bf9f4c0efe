//! Where mark bits stand: the seam between "in the header" and "on the side".

use super::object::MARK;
use crate::runtimes::toy::memory::words::Words;
use crate::error::Result;
use crate::runtimes::toy::options::GcPolicy;

/// Bytes for which one bit of a bitmap stands. Every object starts at a multiple.
pub(crate) const GRANULE: u64 = 16;

/// One bit for every object of a heap.
pub(super) trait Marks {
    /// Makes every object unmarked, before a trace of a heap of which so many words are in use.
    fn clear(&mut self, used: usize);
    /// Marks the object of the heap's word; false when it was marked already.
    fn mark(&mut self, objects: &mut Words, word: usize) -> bool;
    /// Whether the last trace reached the object.
    fn is_marked(&self, objects: &Words, word: usize) -> bool;
    /// What a new object's header must have, so that it counts as unmarked in the next trace.
    fn header_bits(&self) -> u64;
}

/// The marks that one heap was made with.
pub(super) fn new(policy: GcPolicy, heap_bytes: u64) -> Result<MarkState> {
    Ok(match policy {
        GcPolicy::MarkHeader => MarkState::Header(HeaderMarks { live: 0 }),
        GcPolicy::MarkBitmap => MarkState::Bitmap(BitmapMarks::new(heap_bytes)?),
    })
}

pub(super) enum MarkState {
    Header(HeaderMarks),
    Bitmap(BitmapMarks),
}

/// Marks in headers. What counts as marked flips with every trace, so that nothing is cleared and
/// every trace writes every live header once.
pub(super) struct HeaderMarks {
    live: u64,
}

impl Marks for HeaderMarks {
    fn clear(&mut self, _used: usize) {
        self.live ^= MARK;
    }

    fn mark(&mut self, objects: &mut Words, word: usize) -> bool {
        let header = objects.get(word);
        if header & MARK == self.live {
            return false;
        }
        objects.set(word, header ^ MARK);
        true
    }

    fn is_marked(&self, objects: &Words, word: usize) -> bool {
        objects.get(word) & MARK == self.live
    }

    fn header_bits(&self) -> u64 {
        self.live
    }
}

/// Marks beside the heap, one bit for a granule.
pub(super) struct BitmapMarks {
    pub(super) bits: Words,
}

impl BitmapMarks {
    pub(super) fn new(heap_bytes: u64) -> Result<Self> {
        Ok(Self { bits: Words::map(heap_bytes / GRANULE / 8, "mark bitmap")? })
    }
}

impl Marks for BitmapMarks {
    fn clear(&mut self, used: usize) {
        for index in 0..used.div_ceil(128) {
            self.bits.update(index, 0);
        }
    }

    fn mark(&mut self, _objects: &mut Words, word: usize) -> bool {
        let (index, bit) = bit_of(word);
        let bits = self.bits.get(index);
        if bits & bit != 0 {
            return false;
        }
        self.bits.set(index, bits | bit);
        true
    }

    fn is_marked(&self, _objects: &Words, word: usize) -> bool {
        let (index, bit) = bit_of(word);
        self.bits.get(index) & bit != 0
    }

    fn header_bits(&self) -> u64 {
        0
    }
}

impl Marks for MarkState {
    fn clear(&mut self, used: usize) {
        match self {
            Self::Header(marks) => marks.clear(used),
            Self::Bitmap(marks) => marks.clear(used),
        }
    }

    fn mark(&mut self, objects: &mut Words, word: usize) -> bool {
        match self {
            Self::Header(marks) => marks.mark(objects, word),
            Self::Bitmap(marks) => marks.mark(objects, word),
        }
    }

    fn is_marked(&self, objects: &Words, word: usize) -> bool {
        match self {
            Self::Header(marks) => marks.is_marked(objects, word),
            Self::Bitmap(marks) => marks.is_marked(objects, word),
        }
    }

    fn header_bits(&self) -> u64 {
        match self {
            Self::Header(marks) => marks.header_bits(),
            Self::Bitmap(marks) => marks.header_bits(),
        }
    }
}

/// The bitmap word and the bit in it of an object's first word.
pub(super) fn bit_of(word: usize) -> (usize, u64) {
    let granule = word / 2;
    (granule / 64, 1 << (granule % 64))
}
