//! What stands at an address, against what live interpreters say of objects that they made.

#[path = "../common/skip.rs"]
mod skip;
mod zygote;

use forkprint::cpython::census::Census;
use forkprint::cpython::fields::FieldClass;
use forkprint::cpython::memory::Memory;
use forkprint::explain::Place;
use forkprint::explain::heap::{Heap, Site};
use forkprint::explain::symbols::Symbolizer;
use forkprint::family::Vma;
use serde_json::Value;
use std::collections::BTreeMap;
use zygote::{Zygote, every_zygote, number};

const SCRIPT: &str = include_str!("places.py");

/// Runs a test on the heap of every interpreter, with its census or without.
fn with_heap(zygote: &Zygote, census: Option<&Census>, test: impl FnOnce(&mut Heap)) {
    let symbolizer = Symbolizer::new(&zygote.areas);
    let mut heap = Heap::new(&zygote.memory, &zygote.areas, &symbolizer, Some(zygote.offsets), census, &[]);
    test(&mut heap);
}

/// In the words of the script.
fn told(place: Place) -> String {
    match place {
        Place::Object { class, .. } => format!("object {class:?}"),
        Place::Buffer { class, .. } => format!("buffer {class:?}"),
        Place::PoolHeader => "pool header".into(),
        Place::NativeHeap => "native".into(),
        Place::InterpreterData => "interpreter".into(),
        Place::LibraryData => "library".into(),
        Place::Stack => "stack".into(),
        other => format!("{other:?}"),
    }
}

/// What is known of an address, and what was found there instead, if it is not that.
fn difference(expected: &Value, site: &Site) -> Option<String> {
    let (ty, field) = (expected[2].as_str(), expected[3].as_str());
    let found = (told(site.place), site.ty.as_deref(), site.field.as_deref());
    let right = found.0 == expected[1] && found.1 == ty && found.2 == field;
    (!right).then(|| format!("{} {ty:?}.{field:?} is {found:?}", expected[1]))
}

#[test]
fn places_are_what_the_interpreter_made_there() {
    for zygote in every_zygote(SCRIPT) {
        let places = zygote.list("places");
        let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
        with_heap(&zygote, Some(&zygote.census), |heap| {
            for expected in places {
                let site = heap.locate(number(&expected[0]));
                if let Some(difference) = difference(expected, &site) {
                    *wrong.entry(difference).or_default() += 1;
                }
            }
        });
        println!("3.{}: {} places", zygote.minor, places.len());
        assert!(wrong.is_empty(), "3.{}: {wrong:#?}", zygote.minor);
        assert!(places.len() > 70_000);
    }
}

/// Those of static types are in the data of libraries, which wins over what the object is.
#[test]
fn every_object_of_an_interpreter_is_found() {
    for zygote in every_zygote(SCRIPT) {
        let objects = zygote.list("objects");
        let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
        let mut owned = 0;
        with_heap(&zygote, Some(&zygote.census), |heap| {
            for told in objects {
                let Site { place, ty, field, node } = heap.locate(number(&told[0]) + 2);
                let counts = Place::Object { class: FieldClass::Refcount, into_field: 2 };
                let fits = place == counts || matches!(place, Place::InterpreterData | Place::LibraryData);
                if !fits || ty.as_deref() != told[1].as_str() || field.as_deref() != Some("ob_refcnt") {
                    *wrong.entry(format!("{} is {place:?}, {ty:?}, {field:?}", told[1])).or_default() += 1;
                }
                owned += usize::from(node.is_some());
            }
        });
        println!("3.{}: {} objects, {owned} with an owner", zygote.minor, objects.len());
        assert!(wrong.values().sum::<usize>() * 1000 <= objects.len(), "3.{}: {wrong:#?}", zygote.minor);
        assert!(objects.len() > 30_000 && owned * 100 > objects.len() * 99);
    }
}

/// To pymalloc, to the free list of a type, to malloc.
#[test]
fn what_was_given_back_is_free() {
    for zygote in every_zygote(SCRIPT) {
        with_heap(&zygote, Some(&zygote.census), |heap| {
            for (name, offset) in [("freed", 20), ("waiting", 12), ("gaps", 3000)] {
                let places = zygote.list(name);
                let free = |told: &&Value| {
                    matches!(heap.locate(number(told) + offset).place, Place::FreeBlock { .. })
                };
                let free = places.iter().filter(free).count();
                println!("3.{}: {free} of {} {name} are free", zygote.minor, places.len());
                assert!(free * 100 > places.len() * 95);
            }
        });
    }
}

/// Large objects and buffers are then unknown, but no small object is taken for another.
#[test]
fn without_a_census_less_is_known_and_nothing_is_wrong() {
    for zygote in every_zygote(SCRIPT) {
        let (mut wrong, mut unknown): (BTreeMap<String, usize>, usize) = Default::default();
        with_heap(&zygote, None, |heap| {
            for expected in zygote.list("places") {
                let site = heap.locate(number(&expected[0]));
                match site.place {
                    Place::UnknownBlock | Place::InterpreterData | Place::LibraryData => unknown += 1,
                    _ => {
                        if let Some(difference) = difference(expected, &site) {
                            *wrong.entry(difference).or_default() += 1;
                        }
                    }
                }
            }
        });
        println!("3.{}: {unknown} unknown", zygote.minor);
        assert!(wrong.is_empty(), "3.{}: {wrong:#?}", zygote.minor);
    }
}

/// What is not: a few pages of the dynamic loader's.
#[test]
fn hardly_any_memory_is_unknown() {
    for zygote in every_zygote(SCRIPT) {
        let plain = |area: &&Vma| area.flags.private && area.flags.write;
        let (mut all, mut unknown, mut unknown_blocks) = (0, 0, 0);
        with_heap(&zygote, Some(&zygote.census), |heap| {
            for page in zygote.areas.iter().filter(plain).flat_map(|area| area.start.0..area.end.0) {
                for address in [8, 1001, 2500, 4000].map(|at| page * 4096 + at) {
                    if zygote.memory.word(address).is_some_and(|word| word != 0) {
                        let place = heap.locate(address).place;
                        all += 1;
                        unknown += usize::from(place == Place::Unknown);
                        unknown_blocks += usize::from(place == Place::UnknownBlock);
                    }
                }
            }
        });
        println!("3.{}: of {all} places, {unknown} are unknown, {unknown_blocks} in blocks", zygote.minor);
        assert!(all > 50_000 && unknown * 2000 < all && unknown_blocks * 500 < all);
    }
}

/// The first object of a kind that the script made.
fn first(zygote: &Zygote, place: &str, ty: &str, field: &str) -> u64 {
    let found =
        zygote.list("places").iter().find(|told| told[1] == place && told[2] == ty && told[3] == field);
    number(&found.unwrap()[0])
}

/// Memory in which some words are others.
fn changed(zygote: &Zygote, words: Vec<(u64, u64)>) -> impl Fn(u64, &mut [u8]) -> bool {
    move |address, buffer| {
        let read = zygote.memory.read(address, buffer);
        for (at, word) in &words {
            for (at, byte) in (*at..).zip(word.to_le_bytes()) {
                let place = at.checked_sub(address).and_then(|at| usize::try_from(at).ok());
                if let Some(place) = place.and_then(|place| buffer.get_mut(place)) {
                    *place = byte;
                }
            }
        }
        read
    }
}

#[test]
fn what_memory_and_census_do_not_agree_on_is_unknown() {
    for zygote in every_zygote(SCRIPT) {
        let symbolizer = Symbolizer::new(&zygote.areas);
        let place = |address: u64, words: Vec<(u64, u64)>| {
            let (memory, areas) = (changed(&zygote, words), &zygote.areas);
            let (offsets, census) = (Some(zygote.offsets), Some(&zygote.census));
            Heap::new(&memory, areas, &symbolizer, offsets, census, &[]).locate(address).place
        };
        let pair = first(&zygote, "object Refcount", "tuple", "ob_refcnt");
        let point = first(&zygote, "object Refcount", "__main__.Point", "ob_refcnt");
        let wide = first(&zygote, "object Refcount", "__main__.Wide", "ob_refcnt");
        let items = first(&zygote, "buffer Body", "list", "items");
        let type_of = |object: u64| zygote.memory.word(object + 8).unwrap();
        for (object, other) in [(pair, point), (point, pair), (wide, pair)] {
            assert!(matches!(place(object, vec![]), Place::Object { .. }));
            assert_eq!(place(object, vec![(object + 8, type_of(other))]), Place::Unknown, "another type");
            assert_eq!(place(object, vec![(object + 8, 0)]), Place::Unknown, "no type");
            assert_eq!(place(object, vec![(object, 0)]), Place::Unknown, "freed");
        }
        let text = type_of(first(&zygote, "object Cache", "str", "hash") - 24);
        assert!(matches!(place(items, vec![]), Place::Buffer { .. }));
        assert_eq!(place(items, vec![(items, 1), (items + 8, text)]), Place::Unknown, "an object");
        assert!(matches!(place(items, vec![(items, 0), (items + 8, text)]), Place::Buffer { .. }));
    }
}

/// Whatever the bytes are, there is an answer.
#[test]
fn memory_that_lies_breaks_nothing() {
    let Some(zygote) = every_zygote(SCRIPT).next() else { return };
    let symbolizer = Symbolizer::new(&zygote.areas);
    let noise = |address: u64, buffer: &mut [u8]| {
        for (at, byte) in (address..).zip(buffer) {
            let mixed = (at / 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            *byte = if mixed % 3 == 0 { 0 } else { mixed.to_le_bytes()[0] };
        }
        !address.is_multiple_of(5)
    };
    let turned = |address: u64, buffer: &mut [u8]| zygote.memory.read(address ^ 0x18, buffer);
    for memory in [&noise as &dyn Memory, &turned, &|_: u64, _: &mut [u8]| false] {
        for census in [None, Some(&zygote.census)] {
            let offsets = Some(zygote.offsets);
            let mut heap = Heap::new(memory, &zygote.areas, &symbolizer, offsets, census, &[]);
            for told in zygote.list("places").iter().step_by(7) {
                heap.locate(number(&told[0]));
            }
            for address in [0, 1, 7, 4096, u64::MAX / 2, u64::MAX - 7, u64::MAX] {
                assert_eq!(heap.locate(address).place, Place::Unknown);
            }
        }
    }
}
