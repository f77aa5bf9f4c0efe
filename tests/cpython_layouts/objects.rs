//! Types, fields and the place of objects in blocks, against what the interpreter says and holds.

use crate::interpreters::{Target, every_interpreter, number};
use forkprint::cpython::blocks::{Block, Pools};
use forkprint::cpython::fields::{
    FieldClass, before_values, dict_keys_field, field_at, field_of, values_field,
};
use forkprint::cpython::object::find_object;
use forkprint::cpython::types::TypeInfo;
use serde_json::Value;
use std::collections::HashSet;

/// `Py_TPFLAGS_VALID_VERSION_TAG`: an interpreter sets it whenever it likes.
const VALID_VERSION_TAG: u64 = 1 << 19;

const SCRIPT: &str = include_str!("objects.py");

fn read_type(target: &Target, address: &Value) -> TypeInfo {
    TypeInfo::read(&target.memory, &target.offsets, number(address)).unwrap()
}

fn live_types(target: &Target) -> HashSet<u64> {
    target.list("types").iter().map(|told| number(told.get(0).unwrap_or(told))).collect()
}

#[test]
fn types_are_called_and_laid_out_as_python_says() {
    for target in every_interpreter(SCRIPT) {
        for told in target.list("types") {
            let info = read_type(&target, &told[0]);
            let flags = |flags: u64| flags & !VALID_VERSION_TAG;
            let found = (info.name.as_str(), info.basicsize, info.itemsize, flags(info.flags.0));
            let (name, [basicsize, itemsize, told_flags]) =
                (told[1].as_str().unwrap(), [2, 3, 4].map(|index| number(&told[index])));
            let expected = (name, basicsize, itemsize, flags(told_flags));
            assert_eq!(found, expected, "{}", target.name);
        }
        println!("{}: {} types", target.name, target.list("types").len());
    }
}

#[test]
fn fields_have_their_names_where_python_holds_their_values() {
    for target in every_interpreter(SCRIPT) {
        for told in target.list("fields") {
            let (object, info, offset) = (number(&told[0]), read_type(&target, &told[1]), number(&told[2]));
            let offset = i64::try_from(offset).unwrap();
            let (field, into) = field_of(&target.memory, &target.offsets, &info, object, offset + 1);
            let found = (&*field.name, format!("{:?}", field.class), into);
            let expected = (told[3].as_str().unwrap(), told[4].as_str().unwrap().to_owned());
            let into_field = if found.0 == "co_code_adaptive" { 11 } else { 1 };
            assert_eq!(
                found,
                (expected.0, expected.1, into_field),
                "{}: {} +{offset}",
                target.name,
                info.name
            );
        }
        println!("{}: {} fields", target.name, target.list("fields").len());
    }
}

#[test]
fn attributes_have_their_names_where_they_stand_apart_from_the_instance() {
    for target in every_interpreter(SCRIPT) {
        let mut pools = Pools::new(target.offsets.version);
        for told in target.list("values") {
            let (info, address) = (read_type(&target, &told[0]), number(&told[1]));
            let Some(Block::Used { start, .. }) = pools.block_of(&target.memory, address) else {
                panic!("{}: no block", target.name)
            };
            let before = before_values(&target.memory, &target.offsets, start).unwrap();
            let (field, into) = values_field(&info, before, address + 3 - start);
            assert_eq!((&*field.name, into), (told[2].as_str().unwrap(), 3), "{}", target.name);
        }
    }
}

#[test]
fn every_object_is_found_in_its_block() {
    for target in every_interpreter(include_str!("blocks.py")) {
        let (types, mut pools) = (live_types(&target), Pools::new(target.offsets.version));
        for told in target.list("objects") {
            let (name, object, headers, ty) =
                (&told[0], number(&told[1]), number(&told[2]), number(&told[3]));
            let Some(Block::Used { start, size }) = pools.block_of(&target.memory, object) else { continue };
            let is_type = |address: u64| types.contains(&address);
            let found = find_object(&target.memory, &target.offsets, (start, size), &is_type).unwrap();
            let headers_found = 16 * (u64::from(found.gc) + u64::from(found.preheader));
            let context = format!("{}: {name}", target.name);
            assert_eq!((found.object, found.ty, headers_found), (object, ty, headers), "{context}");
            assert!(found.alive, "{context}");
        }
    }
}

#[test]
fn a_tuple_in_the_free_list_of_its_type_is_not_alive() {
    for target in every_interpreter(include_str!("blocks.py")) {
        let (types, mut pools) = (live_types(&target), Pools::new(target.offsets.version));
        let object = number(&target.told["waiting"]);
        let Some(Block::Used { start, size }) = pools.block_of(&target.memory, object) else {
            panic!("{}: the tuple was given back", target.name)
        };
        let is_type = |address: u64| types.contains(&address);
        let found = find_object(&target.memory, &target.offsets, (start, size), &is_type).unwrap();
        assert_eq!((found.object, found.alive), (object, false), "{}", target.name);
    }
}

#[test]
fn no_object_is_found_in_buffers_of_types() {
    for target in every_interpreter(SCRIPT) {
        let (types, mut pools) = (live_types(&target), Pools::new(target.offsets.version));
        let mut looked_into = 0;
        for address in target.list("buffers").iter().map(number) {
            if let Some(Block::Used { start, size }) = pools.block_of(&target.memory, address) {
                let is_type = |address: u64| types.contains(&address);
                let found = find_object(&target.memory, &target.offsets, (start, size), &is_type);
                assert_eq!(found, None, "{}: {address:#x}", target.name);
                looked_into += 1;
            }
        }
        assert!(looked_into > 50, "{}: {looked_into}", target.name);
    }
}

#[test]
fn what_is_no_type_is_not_read_as_one() {
    for target in every_interpreter(SCRIPT) {
        for told in target.list("fields") {
            let object = number(&told[0]);
            if !live_types(&target).contains(&object) {
                assert_eq!(TypeInfo::read(&target.memory, &target.offsets, object), None, "{}", target.name);
            }
        }
    }
}

#[test]
fn the_words_before_and_at_the_start_of_objects_are_known() {
    for target in every_interpreter(SCRIPT) {
        let plain = target.list("types").iter().find(|told| told[1] == "__main__.Plain").unwrap();
        let info = read_type(&target, &plain[0]);
        let field = |offset| {
            let (field, into) = field_at(&target.offsets, &info, offset);
            (field.name.into_owned(), field.class, into)
        };
        assert_eq!(field(-16), ("_gc_next".into(), FieldClass::GcHeader, 0));
        assert_eq!(field(-3), ("_gc_prev".into(), FieldClass::GcHeader, 5));
        assert_eq!(field(4), ("ob_refcnt".into(), FieldClass::Refcount, 4));
        assert_eq!(field(8), ("ob_type".into(), FieldClass::Body, 0));
        let before = if target.offsets.at_least(11) { "__dict__" } else { "-24" };
        assert_eq!(field(-24), (before.into(), FieldClass::Body, 0));
        let (keys, into) = dict_keys_field(&target.offsets, 1);
        assert_eq!((&*keys.name, keys.class, into), ("dk_refcnt", FieldClass::Refcount, 1));
    }
}
