//! Code objects and lines, against `co_lines()` and `dis.findlinestarts()`.

use crate::interpreters::{Target, every_interpreter, number};
use forkprint::cpython::code::CodeObject;
use serde_json::Value;

/// What a frame that executes the instruction at an offset holds.
fn recorded(target: &Target, code: &CodeObject, offset: usize) -> u64 {
    match target.offsets.version {
        (3, 9) => offset as u64,
        (3, 10) => offset as u64 / 2,
        _ => code.address + target.offsets.code.code + offset as u64,
    }
}

fn check(target: &Target, told: &Value) {
    let address = number(&told["address"]);
    let code = CodeObject::read(&target.memory, &target.offsets, address).unwrap();
    let context = format!("{}: {} in {}", target.name, code.name, code.file);
    assert_eq!(code.file, told["file"].as_str().unwrap(), "{context}");
    assert_eq!(code.name, told["name"].as_str().unwrap(), "{context}");
    assert_eq!(u64::from(code.first_line), number(&told["first_line"]), "{context}");
    let lines = told["lines"].as_array().unwrap();
    assert_eq!(code.code_bytes as usize, lines.len(), "{context}");
    for (offset, line) in lines.iter().enumerate().step_by(2) {
        let found = code.line_at(recorded(target, &code, offset));
        assert_eq!(found.map(u64::from), line.as_u64(), "{context}, at {offset}");
    }
}

#[test]
fn the_line_of_every_instruction_is_what_python_says() {
    for target in every_interpreter(include_str!("code.py")) {
        let codes = target.list("codes");
        assert!(codes.len() > 300, "{}", codes.len());
        codes.iter().for_each(|told| check(&target, told));
        println!("{}: {} code objects", target.name, codes.len());
    }
}

#[test]
fn a_frame_that_did_not_begin_is_on_the_first_line_and_other_code_is_nowhere() {
    for target in every_interpreter(include_str!("code.py")) {
        let told = &target.list("codes")[0];
        let code = CodeObject::read(&target.memory, &target.offsets, number(&told["address"])).unwrap();
        let before = match target.offsets.version {
            (3, 9 | 10) => u64::from(u32::MAX),
            _ => code.address + target.offsets.code.code - 2,
        };
        assert_eq!(code.line_at(before), Some(code.first_line));
        assert_eq!(code.line_at(recorded(&target, &code, code.code_bytes as usize)), None);
        assert_eq!(CodeObject::read(&target.memory, &target.offsets, 64), None);
    }
}
