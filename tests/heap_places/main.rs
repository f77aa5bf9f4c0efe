//! What stands at an address, against what live interpreters say of objects that they made.

#[path = "../common/skip.rs"]
mod skip;
mod zygote;

use forkprint::cpython::census::Census;
use forkprint::cpython::fields::FieldClass;
use forkprint::explain::Place;
use forkprint::explain::heap::{Heap, Site};
use forkprint::explain::symbols::Symbolizer;
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

#[test]
fn what_was_given_back_is_free() {
    for zygote in every_zygote(SCRIPT) {
        let freed = zygote.list("freed");
        with_heap(&zygote, Some(&zygote.census), |heap| {
            let free =
                |told: &&Value| heap.locate(number(told) + 20).place == Place::FreeBlock { offset: 20 };
            let free = freed.iter().filter(free).count();
            println!("3.{}: {free} of {} blocks are free", zygote.minor, freed.len());
            assert!(free * 100 > freed.len() * 95);
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
