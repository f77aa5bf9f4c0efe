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

fn region(name: &str, start: u64, bytes: u64) -> Region {
    Region { start, end: start + bytes, name: name.into() }
}

/// A heap with an allocation bitmap, and everything else that has one use only.
fn regions() -> Vec<Region> {
    vec![
        region("object heap", HEAP, 1 << 20),
        region("allocation bitmap", BITMAP, 8192),
        region("mark bitmap", MARKS, 8192),
        region("hot code", 0xb0_0000, 4096),
        region("cold code", 0xb0_1000, 4096),
        region("inline-cache data", 0xc0_0000, 4096),
        region("card table", 0xc1_0000, 4096),
        region("shared boxes", 0xc2_0000, 4096),
    ]
}

/// A record of three fields, and a list.
const RECORD: u64 = 4 | 3 << 16 | 0x8000_0009 << 32;
const LIST: u64 = 2;

fn at(objects: &[(u64, u64)], collector: Collector, offset: u64) -> ToyPlace {
    ToyMemory::new(&regions(), collector).place(HEAP + offset, memory(objects)).unwrap()
}

const fn body_at(into_field: u64) -> Place {
    Place::Object { class: FieldClass::Body, into_field }
}

#[test]
fn the_collector_s_word_is_what_the_collector_makes_of_it() {
    let record = [(4096, RECORD)];
    let count = Place::Object { class: FieldClass::Refcount, into_field: 1 };
    for (collector, place, word) in [
        (Collector::Marks, Place::Marks, "header"),
        (Collector::Counts, count, "count"),
        (Collector::Moves, Place::Movable, "header"),
        (Collector::Beside, body_at(1), "header"),
    ] {
        let found = at(&record, collector, 4096 + 9);
        assert_eq!((found.place, found.ty, found.field.as_deref()), (place, Some("toy Record"), Some(word)));
    }
}

#[test]
fn what_an_object_is_changes_only_when_another_takes_its_place() {
    for collector in [Collector::Marks, Collector::Counts, Collector::Beside] {
        assert_eq!(at(&[(4096, RECORD)], collector, 4096).place, body_at(0));
    }
}

#[test]
fn a_count_beside_the_heap_is_that_of_its_object() {
    const COUNTS: u64 = 0xd0_0000;
    let mut regions = regions();
    regions.push(region("count table", COUNTS, 1 << 18));
    let mut memory_of = ToyMemory::new(&regions, Collector::Beside);
    let found = memory_of.place(COUNTS + 4096 / 4, memory(&[(4096, RECORD)])).unwrap();
    assert_eq!((found.place, found.ty), (Place::Counts, Some("toy Record")));
    assert_eq!(found.field.as_deref(), Some("count"));
    let nobodys = memory_of.place(COUNTS + 16, memory(&[(4096, RECORD)])).unwrap();
    assert_eq!(nobodys, ToyPlace::nameless(Place::Counts));
}

#[test]
fn objects_without_a_bitmap_follow_each_other() {
    let regions = [region("object heap", HEAP, 1 << 20)];
    let objects = [(0, LIST), (32, 1 | 100 << 32), (160, RECORD)];
    let mut heap = ToyMemory::new(&regions, Collector::Beside);
    let mut ty_at = |offset| heap.place(HEAP + offset, memory(&objects)).unwrap().ty;
    assert_eq!([16, 131, 199].map(&mut ty_at), ["toy List", "toy Text", "toy Record"].map(Some));
    assert_eq!([150, 200, 208, 99_999].map(&mut ty_at), [None; 4]);
}

#[test]
fn a_semispace_that_was_left_is_a_target() {
    let half = 1 << 19;
    let regions = [region("space A", HEAP, half), region("space B", HEAP + half, half)];
    // The copies are in B; in A the objects that were copied hold the addresses of their copies.
    let objects = [(0, RECORD), (8, HEAP + half), (half, RECORD)];
    let mut heap = ToyMemory::new(&regions, Collector::Moves);
    let mut place_at = |offset| heap.place(HEAP + offset, memory(&objects)).unwrap().place;
    assert_eq!([0, 24, 4096].map(&mut place_at), [Place::MoveTarget; 3]);
    assert_eq!(place_at(half + 24), Place::Movable);
    assert!(matches!(place_at(half + 4096), Place::FreeBlock { .. }));
    let mut heap = ToyMemory::new(&regions, Collector::Moves);
    let mut place_at = |offset| heap.place(HEAP + offset, memory(&[(0, RECORD)])).unwrap().place;
    assert_eq!((place_at(24), place_at(half)), (Place::Movable, Place::MoveTarget));
}

#[test]
fn a_body_is_told_by_its_field() {
    let objects = [(64, LIST), (96, RECORD)];
    let field = |offset| {
        let found = at(&objects, Collector::Marks, offset);
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
    let last = at(&array, Collector::Marks, 32 + 8 + 8 * items);
    assert_eq!((last.ty, last.field.as_deref()), (Some("toy Array"), Some("items")));
    let behind = at(&array, Collector::Marks, 32 + 8 + 8 * items + 8).place;
    assert!(matches!(behind, Place::FreeBlock { .. }), "{behind:?}");
}

#[test]
fn where_no_object_is_there_is_room_for_one() {
    for objects in [&[][..], &[(0, RECORD)], &[(8192, RECORD)]] {
        let found = at(objects, Collector::Marks, 4096).place;
        assert!(matches!(found, Place::FreeBlock { .. }), "{found:?}");
    }
}

#[test]
fn the_other_regions_say_it_themselves() {
    let regions = regions();
    let mut heap = ToyMemory::new(&regions, Collector::Marks);
    let mut known = |address| heap.place(address, memory(&[])).map(|found| found.place);
    assert_eq!(known(MARKS + 100), Some(Place::Marks));
    assert_eq!(known(BITMAP), Some(Place::PoolHeader));
    assert_eq!(known(0xb0_0ff8), Some(Place::JitCode));
    assert_eq!(known(0xb0_1000), Some(Place::JitCode));
    assert_eq!(known(0xc0_0000), Some(Place::JitData));
    assert_eq!(known(0xc1_0000), Some(Place::Marks));
    assert_eq!(known(0xc2_0008), Some(body_at(0)));
    assert_eq!(known(0xd0_0000), None);
}

#[test]
fn memory_that_cannot_be_read_is_not_guessed() {
    let found = ToyMemory::new(&regions(), Collector::Marks).place(HEAP, |_, _| false).unwrap();
    assert_eq!(found, ToyPlace::nameless(Place::Unknown));
}
