//! What stands at an address, against what live interpreters say of objects that they made.

#[path = "../common/skip.rs"]
mod skip;
mod zygote;

use forkprint::cpython::census::Census;
use forkprint::explain::Place;
use forkprint::explain::heap::{Heap, Site};
use forkprint::explain::symbols::Symbolizer;
use serde_json::Value;
use std::collections::BTreeMap;
use zygote::{Zygote, every_zygote};

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
        let places = zygote.told["places"].as_array().unwrap();
        let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
        with_heap(&zygote, Some(&zygote.census), |heap| {
            for expected in places {
                let site = heap.locate(expected[0].as_u64().unwrap());
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
