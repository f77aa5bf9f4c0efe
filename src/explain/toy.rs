//! What stood at an address of the toy runtime: its own region table and its own bitmap say it.
//!
//! The layouts are those of `docs/toy.md`: a bit of the allocation bitmap stands for 16 bytes of the
//! object heap and is set where an object begins; an object begins with a header word.

use super::Place;
use crate::cpython::fields::FieldClass;
use crate::family::Region;
use std::borrow::Cow;

/// Bytes of the heap that one bit of a bitmap stands for.
const GRANULE: u64 = 16;
/// Bytes of a header, in front of every object's body.
const HEADER: u64 = 16;

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

/// What stood at the address, or `None` outside of the runtime's regions.
///
/// `read` fills a buffer with the bytes at an address as they were at the fork; false where it
/// cannot.
pub fn place(
    regions: &[Region],
    address: u64,
    mut read: impl FnMut(u64, &mut [u8]) -> bool,
) -> Option<ToyPlace> {
    let region = regions.iter().find(|region| (region.start..region.end).contains(&address))?;
    Some(match region.name.as_str() {
        "object heap" => in_heap(regions, region, address, &mut read),
        "allocation bitmap" => ToyPlace::nameless(Place::PoolHeader),
        "mark bitmap" => ToyPlace::nameless(Place::Marks),
        "hot code" | "cold code" => ToyPlace::nameless(Place::JitCode),
        "inline-cache data" => ToyPlace::nameless(Place::JitData),
        "global variables" => body("toy globals", "variable".into(), address - region.start),
        "vm stack" => ToyPlace::nameless(Place::Stack),
        _ => return None,
    })
}

fn in_heap(
    regions: &[Region],
    heap: &Region,
    address: u64,
    read: &mut impl FnMut(u64, &mut [u8]) -> bool,
) -> ToyPlace {
    let start = match object_before(regions, heap, address, read) {
        Ok(Some(start)) => start,
        Ok(None) => return ToyPlace::nameless(Place::FreeBlock { offset: address % GRANULE }),
        Err(Unread) => return ToyPlace::nameless(Place::Unknown),
    };
    let mut header = [0; 8];
    if !read(start, &mut header) {
        return ToyPlace::nameless(Place::Unknown);
    }
    let header = Header(u64::from_le_bytes(header));
    let offset = address - start;
    if offset >= header.bytes() {
        return ToyPlace::nameless(Place::FreeBlock { offset: address % GRANULE });
    }
    if offset >= HEADER {
        return body(header.type_name(), header.field(offset - HEADER), (offset - HEADER) % 8);
    }
    // Nothing but a mark is ever written to the header of an object that is there already. Where the
    // marks stand beside the heap, the object is gone and another takes its place.
    let marks_in_headers = !regions.iter().any(|region| region.name == "mark bitmap");
    let place = if marks_in_headers {
        Place::Marks
    } else {
        Place::Object { class: FieldClass::Body, into_field: offset }
    };
    ToyPlace { place, ty: Some(header.type_name()), field: Some("header".into()) }
}

const fn body(ty: &'static str, field: Cow<'static, str>, into_field: u64) -> ToyPlace {
    let place = Place::Object { class: FieldClass::Body, into_field };
    ToyPlace { place, ty: Some(ty), field: Some(field) }
}

/// The fork-time bytes could not be had.
struct Unread;

/// Where the last object begins that begins at the address or before it.
fn object_before(
    regions: &[Region],
    heap: &Region,
    address: u64,
    read: &mut impl FnMut(u64, &mut [u8]) -> bool,
) -> Result<Option<u64>, Unread> {
    let bitmap = regions.iter().find(|region| region.name == "allocation bitmap").ok_or(Unread)?;
    let granule = (address - heap.start) / GRANULE;
    // Bits up to the address's own, and no later one.
    let mut wanted = u64::MAX >> (63 - granule % 64);
    let mut end = granule / 64 + 1;
    let mut chunk = [0; 512];
    while end > 0 {
        let first = end.saturating_sub(chunk.len() as u64 / 8);
        let bytes = usize::try_from(8 * (end - first)).ok().and_then(|bytes| chunk.get_mut(..bytes));
        let bytes = bytes.ok_or(Unread)?;
        if bitmap.start + end * 8 > bitmap.end || !read(bitmap.start + first * 8, bytes) {
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

/// The first word of an object: kind in bits 0 to 7, number of fields in bits 16 to 31, and the
/// length of strings and arrays in the upper half.
#[derive(Clone, Copy)]
struct Header(u64);

impl Header {
    const fn fields(self) -> u64 {
        self.0 >> 16 & 0xffff
    }

    const fn length(self) -> u64 {
        self.0 >> 32
    }

    /// Bytes of the whole object.
    const fn bytes(self) -> u64 {
        HEADER
            + match self.0 & 0xff {
                1 => self.length(),
                2 => 16,
                3 => 8 * self.length(),
                4 | 5 => 8 * self.fields(),
                _ => 8,
            }
    }

    const fn type_name(self) -> &'static str {
        match self.0 & 0xff {
            1 => "toy Text",
            2 => "toy List",
            3 => "toy Array",
            4 => "toy Record",
            5 => "toy Closure",
            6 => "toy Cell",
            7 => "toy Int",
            _ => "toy object",
        }
    }

    /// The field at an offset in the body, in bytes.
    fn field(self, offset: u64) -> Cow<'static, str> {
        match self.0 & 0xff {
            1 => "text".into(),
            2 if offset < 8 => "count".into(),
            2 => "array".into(),
            3 => "items".into(),
            4 => format!("field {}", offset / 8).into(),
            5 => format!("capture {}", offset / 8).into(),
            _ => "value".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAP: u64 = 0x10_0000;
    const BITMAP: u64 = 0x90_0000;
    const MARKS: u64 = 0xa0_0000;

    /// Fork-time memory with objects of these headers at these offsets of the heap.
    fn memory(objects: &[(u64, u64)]) -> impl Fn(u64, &mut [u8]) -> bool {
        let mut heap = vec![0_u8; 1 << 20];
        let mut bitmap = vec![0_u8; (1 << 20) / 128];
        for (offset, header) in objects {
            let at = usize::try_from(*offset).unwrap();
            heap[at..at + 8].copy_from_slice(&header.to_le_bytes());
            bitmap[at / 128] |= 1 << (at / 16 % 8);
        }
        move |address, bytes| {
            let (from, start) = if address >= BITMAP { (&bitmap, BITMAP) } else { (&heap, HEAP) };
            let at = usize::try_from(address - start).unwrap();
            let found = from.get(at..at + bytes.len());
            found.map(|found| bytes.copy_from_slice(found)).is_some()
        }
    }

    fn regions(mark_bitmap: bool) -> Vec<Region> {
        let region = |name: &str, start, bytes| Region { start, end: start + bytes, name: name.into() };
        let mut regions =
            vec![region("object heap", HEAP, 1 << 20), region("allocation bitmap", BITMAP, 8192)];
        regions.extend(mark_bitmap.then(|| region("mark bitmap", MARKS, 8192)));
        regions.extend([region("hot code", 0xb0_0000, 4096), region("inline-cache data", 0xc0_0000, 4096)]);
        regions
    }

    /// A record of three fields, and a list.
    const RECORD: u64 = 4 | 3 << 16 | 0x8000_0009 << 32;
    const LIST: u64 = 2;

    fn at(objects: &[(u64, u64)], mark_bitmap: bool, offset: u64) -> ToyPlace {
        place(&regions(mark_bitmap), HEAP + offset, memory(objects)).unwrap()
    }

    #[test]
    fn a_header_is_a_mark_only_where_marks_stand_in_headers() {
        let record = [(4096, RECORD)];
        let marked = at(&record, false, 4097);
        assert_eq!((marked.place, marked.ty), (Place::Marks, Some("toy Record")));
        assert_eq!(marked.field.as_deref(), Some("header"));
        let reused = at(&record, true, 4096).place;
        assert_eq!(reused, Place::Object { class: FieldClass::Body, into_field: 0 });
    }

    #[test]
    fn a_body_is_told_by_its_field() {
        let objects = [(64, LIST), (96, RECORD)];
        let field = |offset| {
            let found = at(&objects, false, offset);
            assert!(matches!(found.place, Place::Object { class: FieldClass::Body, .. }), "{found:?}");
            (found.ty.unwrap(), found.field.unwrap().into_owned())
        };
        assert_eq!(field(80), ("toy List", "count".to_owned()));
        assert_eq!(field(88), ("toy List", "array".to_owned()));
        assert_eq!(field(112), ("toy Record", "field 0".to_owned()));
        assert_eq!(field(135), ("toy Record", "field 2".to_owned()));
    }

    #[test]
    fn the_beginning_of_a_large_array_is_found_from_far_behind() {
        let items: u64 = 100_000;
        let array = [(0, RECORD), (32, 3 | items << 32)];
        let last = at(&array, false, 32 + 8 + 8 * items);
        assert_eq!((last.ty, last.field.as_deref()), (Some("toy Array"), Some("items")));
        let behind = at(&array, false, 32 + 8 + 8 * items + 8).place;
        assert!(matches!(behind, Place::FreeBlock { .. }), "{behind:?}");
    }

    #[test]
    fn where_no_object_is_there_is_room_for_one() {
        for objects in [&[][..], &[(0, RECORD)], &[(8192, RECORD)]] {
            let found = at(objects, false, 4096).place;
            assert!(matches!(found, Place::FreeBlock { .. }), "{found:?}");
        }
    }

    #[test]
    fn the_other_regions_say_it_themselves() {
        let known = |address| place(&regions(true), address, memory(&[])).map(|found| found.place);
        assert_eq!(known(MARKS + 100), Some(Place::Marks));
        assert_eq!(known(BITMAP), Some(Place::PoolHeader));
        assert_eq!(known(0xb0_0ff8), Some(Place::JitCode));
        assert_eq!(known(0xc0_0000), Some(Place::JitData));
        assert_eq!(known(0xd0_0000), None);
    }

    #[test]
    fn memory_that_cannot_be_read_is_not_guessed() {
        let found = place(&regions(false), HEAP, |_, _| false).unwrap();
        assert_eq!(found, ToyPlace::nameless(Place::Unknown));
    }
}
