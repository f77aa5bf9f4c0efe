//! What stood at an address of the toy runtime: its own region table and its own tables say it.
//!
//! The layouts are those of `docs/toy.md`. An object begins with two header words, the second of which
//! is the collector's. Where objects begin is said by the allocation bitmap, a bit of which stands for
//! 16 bytes; in spaces that have none, objects follow each other from the start of the space.

mod header;
mod row;
#[cfg(test)]
mod tests;

use super::Place;
use crate::cpython::fields::FieldClass;
use crate::family::Region;
use header::{HEADER, Header};
use row::Row;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Bytes of the heap that one bit of a bitmap stands for, and one count of the count table.
const GRANULE: u64 = 16;
/// Bytes of one count of the count table.
const COUNT: u64 = 4;
/// Where the collector's word stands in an object.
const COLLECTOR_WORD: std::ops::Range<u64> = 8..16;

/// What the collector does to objects that are there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Collector {
    /// Nothing: what it writes stands beside the heap.
    #[default]
    Beside,
    /// Puts marks into their headers.
    Marks,
    /// Counts references in their headers.
    Counts,
    /// Moves them, and leaves new addresses in their headers and in what refers to them.
    Moves,
}

/// What stood at an address at the fork, and what the runtime calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToyPlace {
    /// What it means to write there.
    pub place: Place,
    /// Type of the object: `toy Record`.
    pub ty: Option<&'static str>,
    /// Field of the object: `header`, `field 2`, `items`.
    pub field: Option<Cow<'static, str>>,
}

impl ToyPlace {
    const fn nameless(place: Place) -> Self {
        Self { place, ty: None, field: None }
    }
}

/// The memory of a toy runtime as it was at the fork.
pub struct ToyMemory<'a> {
    regions: &'a [Region],
    collector: Collector,
    /// The objects of spaces without an allocation bitmap, by where the space begins.
    rows: BTreeMap<u64, Row>,
}

/// The fork-time bytes could not be had.
struct Unread;

impl<'a> ToyMemory<'a> {
    /// Of the memory that a runtime named.
    pub const fn new(regions: &'a [Region], collector: Collector) -> Self {
        Self { regions, collector, rows: BTreeMap::new() }
    }

    pub(super) const fn set_collector(&mut self, collector: Collector) {
        self.collector = collector;
    }

    /// What stood at the address, or `None` outside of the runtime's regions.
    ///
    /// `read` fills a buffer with the bytes at an address as they were at the fork; false where it
    /// cannot.
    pub fn place(&mut self, address: u64, mut read: impl FnMut(u64, &mut [u8]) -> bool) -> Option<ToyPlace> {
        let region = self.regions.iter().find(|region| (region.start..region.end).contains(&address))?;
        Some(match region.name.as_str() {
            "object heap" | "old space" | "nursery" => self.in_space(region, address, &mut read),
            "space A" | "space B" => self.in_semispace(region, address, &mut read),
            "allocation bitmap" => ToyPlace::nameless(Place::PoolHeader),
            // Cards say what a collection has to look at, as marks do.
            "mark bitmap" | "card table" => ToyPlace::nameless(Place::Marks),
            "count table" => self.in_count_table(address - region.start, &mut read),
            "code cache" | "hot code" | "cold code" => ToyPlace::nameless(Place::JitCode),
            "inline-cache data" => ToyPlace::nameless(Place::JitData),
            "global variables" => body("toy globals", "variable".into(), address - region.start),
            "shared boxes" => body("toy Box", "value".into(), address % 8),
            "vm stack" => ToyPlace::nameless(Place::Stack),
            _ => return None,
        })
    }

    fn in_space(
        &mut self,
        space: &Region,
        address: u64,
        read: &mut impl FnMut(u64, &mut [u8]) -> bool,
    ) -> ToyPlace {
        match self.object_at(space, address, read) {
            Ok(Some((header, offset))) => self.in_object(header, offset),
            Ok(None) => ToyPlace::nameless(Place::FreeBlock { offset: address % GRANULE }),
            Err(Unread) => ToyPlace::nameless(Place::Unknown),
        }
    }

    /// Objects are where the last collection copied them to. The other half holds what it copied, and
    /// whatever is put there is moved there.
    fn in_semispace(
        &mut self,
        space: &Region,
        address: u64,
        read: &mut impl FnMut(u64, &mut [u8]) -> bool,
    ) -> ToyPlace {
        let row = self.rows.entry(space.start).or_insert_with(|| Row::read(space, read));
        if row.was_left() || row.is_empty() {
            return ToyPlace::nameless(Place::MoveTarget);
        }
        self.in_space(space, address, read)
    }

    /// The count of an object that stands elsewhere.
    fn in_count_table(&mut self, offset: u64, read: &mut impl FnMut(u64, &mut [u8]) -> bool) -> ToyPlace {
        let heap = self.regions.iter().find(|region| region.name == "object heap");
        let counted = heap.and_then(|heap| {
            let address = heap.start + offset / COUNT * GRANULE;
            self.object_at(heap, address, read).ok().flatten()
        });
        let ty = counted.map(|(header, _)| header.type_name());
        ToyPlace { place: Place::Counts, ty, field: ty.map(|_| "count".into()) }
    }

    fn in_object(&self, header: Header, offset: u64) -> ToyPlace {
        if offset >= HEADER {
            let found = body(header.type_name(), header.field(offset - HEADER), (offset - HEADER) % 8);
            let movable = self.collector == Collector::Moves;
            return if movable { ToyPlace { place: Place::Movable, ..found } } else { found };
        }
        let place = match self.collector {
            Collector::Moves => Place::Movable,
            Collector::Marks if COLLECTOR_WORD.contains(&offset) => Place::Marks,
            Collector::Counts if COLLECTOR_WORD.contains(&offset) => {
                Place::Object { class: FieldClass::Refcount, into_field: offset - COLLECTOR_WORD.start }
            }
            // The object is gone, and another takes its place.
            _ => Place::Object { class: FieldClass::Body, into_field: offset % 8 },
        };
        let word = match self.collector {
            Collector::Counts if COLLECTOR_WORD.contains(&offset) => "count",
            _ => "header",
        };
        ToyPlace { place, ty: Some(header.type_name()), field: Some(word.into()) }
    }

    /// The header of the object at an address, and the offset in it.
    fn object_at(
        &mut self,
        space: &Region,
        address: u64,
        read: &mut impl FnMut(u64, &mut [u8]) -> bool,
    ) -> Result<Option<(Header, u64)>, Unread> {
        let bitmap = self.regions.iter().find(|region| region.name == "allocation bitmap");
        let start = if let Some(bitmap) = bitmap.filter(|_| space.name != "nursery") {
            object_before(bitmap, space, address, read)?
        } else {
            let row = self.rows.entry(space.start).or_insert_with(|| Row::read(space, read));
            row.object_before(address)
        };
        let Some(start) = start else { return Ok(None) };
        let mut header = [0; 8];
        if !read(start, &mut header) {
            return Err(Unread);
        }
        let header = Header(u64::from_le_bytes(header));
        let offset = address - start;
        Ok((offset < header.bytes()).then_some((header, offset)))
    }
}

const fn body(ty: &'static str, field: Cow<'static, str>, into_field: u64) -> ToyPlace {
    let place = Place::Object { class: FieldClass::Body, into_field };
    ToyPlace { place, ty: Some(ty), field: Some(field) }
}

/// Where the last object begins that begins at the address or before it.
fn object_before(
    bitmap: &Region,
    heap: &Region,
    address: u64,
    read: &mut impl FnMut(u64, &mut [u8]) -> bool,
) -> Result<Option<u64>, Unread> {
    let granule = (address - heap.start) / GRANULE;
    // The room for objects that are younger than the fork has a bitmap of its own.
    if granule / 8 >= bitmap.end - bitmap.start {
        return Ok(None);
    }
    // Bits up to the address's own, and no later one.
    let mut wanted = u64::MAX >> (63 - granule % 64);
    let mut end = granule / 64 + 1;
    let mut chunk = [0; 512];
    while end > 0 {
        let first = end.saturating_sub(chunk.len() as u64 / 8);
        let bytes = usize::try_from(8 * (end - first)).ok().and_then(|bytes| chunk.get_mut(..bytes));
        let bytes = bytes.ok_or(Unread)?;
        if !read(bitmap.start + first * 8, bytes) {
            return Err(Unread);
        }
        for (back, word) in (1..).zip(bytes.as_chunks::<8>().0.iter().rev()) {
            let starts = u64::from_le_bytes(*word) & wanted;
            if starts != 0 {
                let granules = 64 * (end - back) + u64::from(starts.ilog2());
                return Ok(Some(heap.start + granules * GRANULE));
            }
            wanted = u64::MAX;
        }
        end = first;
    }
    Ok(None)
}
