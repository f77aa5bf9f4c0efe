//! Holds the census of five interpreters against what they say of themselves.

mod pages;
#[path = "../common/skip.rs"]
mod skip;
mod untrusted;
mod zygote;

use forkprint::cpython::census::{Census, Kind};
use pages::private_frames;
use serde_json::Value;
use skip::skip;
use zygote::{Zygote, every_zygote, path};

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn list<'a>(told: &'a Value, name: &str) -> &'a [Value] {
    told[name].as_array().unwrap()
}

/// `[address, type, bytes, path]` of each object: `null` where a part is not known.
fn assert_objects(minor: u8, census: &Census, told: &[Value]) {
    let mut wrong = Vec::new();
    for object in told {
        let [id, name, bytes, owner] = object.as_array().unwrap().as_slice() else { panic!("{object}") };
        let Some(entry) = census.at(number(id)) else {
            wrong.push(format!("{object} is not found"));
            continue;
        };
        let found = (census.type_name(entry.ty), path(census, entry.node));
        let is_known = |told: &Value, found: &str| told.is_null() || told == found;
        let bytes = bytes.as_u64().unwrap_or(entry.size);
        if (entry.kind, entry.object) != (Kind::Object, number(id))
            || !is_known(name, &found.0)
            || !is_known(owner, &found.1)
            || !(bytes..bytes + 16).contains(&entry.size)
        {
            wrong.push(format!("{object} is not {entry:?} {found:?}"));
        }
        assert_eq!(census.at(number(id) + 8), Some(entry), "3.{minor}: {object}");
    }
    assert!(wrong.is_empty(), "3.{minor}: {} of {}:\n{}", wrong.len(), told.len(), wrong.join("\n"));
}

fn assert_buffers(minor: u8, census: &Census, told: &[Value]) {
    for buffer in told {
        let [address, kind, bytes, owner] = buffer.as_array().unwrap().as_slice() else { panic!("{buffer}") };
        let entry = census.at(number(address)).unwrap_or_else(|| panic!("3.{minor}: {buffer} is not found"));
        let found = (entry.start, entry.size, path(census, entry.node));
        assert_eq!(format!("{:?}", entry.kind), kind.as_str().unwrap(), "3.{minor}: {buffer}");
        assert_eq!(found, (number(address), number(bytes), owner.as_str().unwrap().into()), "3.{minor}");
        let last = number(address) + number(bytes) - 1;
        assert_eq!(census.at(last), Some(entry), "3.{minor}: the end of {buffer}");
        assert_ne!(census.at(last + 1), Some(entry), "3.{minor}: behind {buffer}");
    }
}

fn assert_truth(mut zygote: Zygote) {
    let told = zygote.told();
    let (minor, census) = (zygote.minor, zygote.census().unwrap());
    assert_objects(minor, &census, list(&told, "objects"));
    assert_buffers(minor, &census, list(&told, "buffers"));
    for ty in list(&told, "types") {
        assert!(census.is_type(number(ty)), "3.{minor}: {ty}");
    }
    let no_type = number(&list(&told, "objects")[0][0]);
    assert!(!census.is_type(no_type), "3.{minor}");
    let counts = census.counts();
    assert!(
        counts.objects > 100_000 && counts.dropped == 0 && counts.unreachable > 0,
        "3.{minor}: {counts:?}"
    );
}

#[test]
fn objects_stand_where_the_interpreter_says_and_belong_to_whom_it_says() {
    every_zygote(include_str!("truth.py")).for_each(assert_truth);
}

#[test]
fn arrays_of_numpy_own_their_data_and_their_objects() {
    for mut zygote in every_zygote(include_str!("numpy_arrays.py")) {
        let (told, minor) = (zygote.told(), zygote.minor);
        if told.is_null() {
            skip(format!("no numpy for CPython 3.{minor} on this machine"));
            continue;
        }
        let census = zygote.census().unwrap();
        assert_objects(minor, &census, list(&told, "objects"));
        assert_buffers(minor, &census, list(&told, "buffers"));
        for address in list(&told, "nobody's") {
            assert_eq!(census.at(number(address)), None, "3.{minor}");
        }
    }
}

#[test]
fn frozen_objects_are_listed_as_others_are() {
    let script = format!("os.environ['FORKPRINT_TEST_FREEZE'] = '1'\n{}", include_str!("truth.py"));
    every_zygote(&script).for_each(assert_truth);
}

#[test]
fn classes_of_every_kind_are_listed_and_none_of_their_code_runs() {
    for mut zygote in every_zygote(include_str!("hostile.py")) {
        let told = zygote.told();
        let census = zygote.census().unwrap();
        assert_objects(zygote.minor, &census, list(&told, "objects"));
        assert_eq!(zygote.told(), "nothing was printed in between", "3.{}", zygote.minor);
    }
}

#[test]
fn a_census_that_crashes_leaves_the_zygote_as_it_was_and_is_refused() {
    for mut zygote in every_zygote(include_str!("crash.py")) {
        let told = serde_json::json!({"took": "one that crashes", "the program's handler wrote": 0});
        assert_eq!(zygote.told(), told, "3.{}", zygote.minor);
        let error = zygote.census().unwrap_err().to_string();
        assert!(error.contains("ended before it was done"), "3.{}: {error}", zygote.minor);
        zygote.go_on();
        assert_eq!(zygote.told(), "took another", "3.{}", zygote.minor);
        assert!(zygote.census().unwrap().objects() > 1000, "3.{}", zygote.minor);
    }
}

#[test]
fn a_census_breaks_no_page_of_the_heap() {
    for mut zygote in every_zygote(include_str!("heap.py")) {
        assert_eq!(zygote.told(), "ready", "3.{}", zygote.minor);
        let Some(before) = private_frames(zygote.pid()) else {
            return skip("page frames are for root alone");
        };
        zygote.go_on();
        assert_eq!(zygote.told(), "taken", "3.{}", zygote.minor);
        let after = private_frames(zygote.pid()).unwrap();
        assert!(zygote.census().unwrap().objects() > 300_000, "3.{}", zygote.minor);
        let broken = before.iter().filter(|&(page, frame)| after.get(page) != Some(frame)).count();
        let fresh = after.keys().filter(|page| !before.contains_key(page)).count();
        assert!(before.len() > 5_000, "3.{}: {} pages", zygote.minor, before.len());
        // Calling it and printing a line takes a stack, a few objects and buffers.
        assert!(broken + fresh < 16, "3.{}: {broken} broken, {fresh} fresh", zygote.minor);
    }
}

#[test]
fn a_census_takes_less_than_forty_bytes_an_object() {
    for mut zygote in every_zygote(include_str!("memory.py")) {
        let mut taken = || {
            let told = zygote.told();
            let counts = zygote.census().unwrap().counts();
            zygote.go_on();
            (number(&told["peak"]) - number(&told["heap"]), counts.objects)
        };
        let (few, many) = (taken(), taken());
        let (bytes, objects) = (many.0 - few.0, many.1 - few.1);
        assert!(objects > 1_000_000, "3.{}: {objects}", zygote.minor);

        assert!(bytes < 40 * objects, "3.{}: {bytes} bytes for {objects} objects", zygote.minor);
    }
}
