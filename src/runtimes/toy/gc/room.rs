//! Room for the objects of a policy that does not move them: a space, and beneath it what is older
//! than the fork.

use super::bits::{BITMAP_PAGE, Bits};
use super::evacuate::{self, Move};
use super::object::Header;
use super::roots::Roots;
use super::space::{self, Space};
use super::trace::Frozen;
use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::memory::words::Words;
use crate::runtimes::toy::options::{AllocOrder, AtFork, ToyOptions};

/// A space, and below its first word the objects that were there before the first fork.
///
/// Nothing is ever put below that word again. It stands at a multiple of 512 KiB, for which one page of
/// a bitmap stands: neither new objects nor their marks share a page with old ones.
pub(super) struct Room {
    order: AllocOrder,
    /// Bytes that objects may take, old ones included.
    limit: u64,
    has_fork: bool,
    /// Bytes of objects, as far as the last sweep and the allocations since know.
    held: u64,
    older: Older,
    is_frozen: bool,
    /// Bytes of what is frozen.
    frozen_bytes: u64,
    /// First word of the space.
    base: usize,
    space: Box<dyn Space>,
}

/// What is beneath the space.
enum Older {
    Nothing,
    /// Objects without gaps between them, as they were packed. The room of those that die is lost.
    Packed {
        starts: Bits,
        end: usize,
    },
    /// Objects where they were put; only for what is frozen.
    Left(Box<dyn Space>),
}

impl Room {
    /// Room for objects of so many bytes.
    pub(super) fn new(options: &ToyOptions, limit: u64) -> Result<Self> {
        Ok(Self {
            order: options.alloc,
            limit,
            has_fork: options.at_fork != AtFork::Nothing,
            held: 0,
            older: Older::Nothing,
            is_frozen: false,
            frozen_bytes: 0,
            base: 0,
            space: space::new(options.alloc, limit)?,
        })
    }

    /// Bytes of address space for it: twice the limit if another space begins at the fork.
    pub(super) fn address_space(&self) -> u64 {
        if self.has_fork { 2 * self.limit + BITMAP_PAGE as u64 * 8 } else { self.limit }
    }

    /// Takes room for an object of so many bytes; answers its first word.
    pub(super) fn allocate(&mut self, bytes: u64) -> Option<usize> {
        if self.held + bytes > self.limit {
            return None;
        }
        let word = self.space.allocate(bytes)?;
        self.held += bytes;
        Some(self.base + word)
    }

    /// Gives the room of one object back, unless it is frozen.
    pub(super) fn free(&mut self, word: usize, bytes: u64) {
        if self.is_frozen(word) {
            return;
        }
        self.held = self.held.saturating_sub(bytes);
        match &mut self.older {
            Older::Packed { starts, .. } if word < self.base => starts.unset(word),
            _ => self.space.free(word - self.base, bytes),
        }
    }

    /// Frees everything that is not marked and not frozen. Answers how many bytes stay taken, frozen
    /// ones left out.
    pub(super) fn sweep(&mut self, objects: &Words, is_marked: &dyn Fn(usize) -> bool) -> u64 {
        let base = self.base;
        let swept = self.space.sweep(&|word| is_marked(base + word));
        self.sweep_older(swept, objects, is_marked)
    }

    /// The same with marks in a bitmap, compared 64 at a time.
    pub(super) fn sweep_unmarked(&mut self, objects: &Words, marks: &Bits) -> u64 {
        let first = self.base / 128;
        let swept = self.space.sweep_words(&|index, _| marks.words.get(first + index));
        self.sweep_older(swept, objects, &|word| marks.is_set(word))
    }

    fn sweep_older(&mut self, swept: u64, objects: &Words, is_marked: &dyn Fn(usize) -> bool) -> u64 {
        let older = match &mut self.older {
            Older::Packed { starts, end } if !self.is_frozen => {
                sweep_packed(starts, *end, objects, is_marked)
            }
            _ => 0,
        };
        self.held = swept + older + self.frozen_bytes;
        swept + older
    }

    /// Whether the object is older than the fork and left alone.
    pub(super) fn is_frozen(&self, word: usize) -> bool {
        self.is_frozen && word < self.base
    }

    /// What a trace leaves alone.
    pub(super) fn frozen(&self) -> Frozen<impl FnMut(&Words) -> Option<usize> + '_> {
        let mut objects = self.is_frozen.then(|| self.older_objects());
        Frozen {
            below: if self.is_frozen { self.base } else { 0 },
            next: move |_: &Words| objects.as_mut()?.next(),
        }
    }

    fn older_objects(&self) -> Box<dyn Iterator<Item = usize> + '_> {
        match &self.older {
            Older::Nothing => Box::new(std::iter::empty()),
            Older::Packed { starts, end } => Box::new(starts.iter(*end)),
            Older::Left(space) => space.objects(),
        }
    }

    /// First words of all objects, live or not yet swept, in address order.
    pub(super) fn objects(&self) -> impl Iterator<Item = usize> + '_ {
        self.older_objects().chain(self.space.objects().map(|word| self.base + word))
    }

    /// The first word that is not frozen, up to the end of the last one ever used.
    pub(super) fn used_words(&self) -> std::ops::Range<usize> {
        let first = if self.is_frozen { self.base } else { 0 };
        first..self.base + self.space.used_words()
    }

    /// Puts what the roots lead to at the start of the heap, without gaps, and opens a new space above
    /// it. Answers where everything went. Both words of every header move along unchanged.
    pub(super) fn compact(&mut self, objects: &mut Words, roots: &mut Roots<'_>) -> Result<Vec<Move>> {
        let space = space::new(self.order, self.limit)?;
        let mut starts = Bits::new(self.limit, "allocation bitmap")?;
        let moves = evacuate::pack(objects, roots)?;
        for moved in &moves {
            starts.set(moved.to);
        }
        let end = moves.last().map_or(0, |last| last.to + Header(objects.get(last.to)).words());
        self.held = end as u64 * 8;
        self.older = Older::Packed { starts, end };
        self.base = end.next_multiple_of(BITMAP_PAGE);
        self.space = space;
        Ok(moves)
    }

    /// Leaves everything there is alone from now on, and opens a new space above it.
    pub(super) fn freeze(&mut self) -> Result<()> {
        if matches!(self.older, Older::Nothing) {
            self.base = self.space.used_words().next_multiple_of(BITMAP_PAGE);
            let left = std::mem::replace(&mut self.space, space::new(self.order, self.limit)?);
            self.older = Older::Left(left);
        }
        self.is_frozen = true;
        self.frozen_bytes = self.held;
        Ok(())
    }

    /// The allocation bitmaps and whatever else stands beside the heap.
    pub(super) fn regions(&self) -> Vec<Region> {
        let mut regions = match &self.older {
            Older::Nothing => Vec::new(),
            Older::Packed { starts, .. } => vec![starts.words.region("allocation bitmap")],
            Older::Left(space) => space.regions(),
        };
        regions.extend(self.space.regions());
        regions
    }
}

fn sweep_packed(starts: &mut Bits, end: usize, objects: &Words, is_marked: &dyn Fn(usize) -> bool) -> u64 {
    let dead: Vec<usize> = starts.iter(end).filter(|word| !is_marked(*word)).collect();
    for word in dead {
        starts.unset(word);
    }
    starts.iter(end).map(|word| Header(objects.get(word)).words() as u64 * 8).sum()
}
