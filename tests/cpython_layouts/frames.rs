//! Frames of a thread, walked as the agent does, against `sys._getframe()`.

use crate::interpreters::{Target, every_interpreter, number};
use forkprint::cpython::code::CodeObject;
use forkprint::cpython::memory::Memory;
use forkprint::cpython::offsets::frames::ABSENT;

/// `(code object, instruction)` from the innermost frame out.
fn walk(target: &Target, thread: u64) -> Vec<(u64, u64)> {
    let (memory, layout) = (&target.memory, target.offsets.frames);
    let mut frame = memory.word(thread + u64::from(layout.first_frame)).unwrap();
    if layout.of_cframe != ABSENT {
        frame = memory.word(frame + u64::from(layout.of_cframe)).unwrap();
    }
    let mut found = Vec::new();
    while frame != 0 {
        let owner = (layout.owner != ABSENT).then(|| memory.byte(frame + u64::from(layout.owner)).unwrap());
        if owner.is_none_or(|owner| owner < layout.skipped_owner) {
            let code = memory.word(frame + u64::from(layout.code)).unwrap() & !u64::from(layout.code_tag);
            let at = frame + u64::from(layout.instruction);
            let instruction = match layout.instruction_size {
                4 => memory.half(at).unwrap().into(),
                _ => memory.word(at).unwrap(),
            };
            found.push((code, instruction));
        }
        frame = memory.word(frame + u64::from(layout.previous)).unwrap();
    }
    found
}

#[test]
fn the_frames_of_a_thread_are_those_that_python_sees() {
    for target in every_interpreter(include_str!("frames.py")) {
        let expected: Vec<_> =
            target.list("frames").iter().map(|told| (number(&told[0]), number(&told[1]))).collect();
        let found: Vec<_> = walk(&target, number(&target.told["thread"]))
            .into_iter()
            .map(|(address, instruction)| {
                let code = CodeObject::read(&target.memory, &target.offsets, address).unwrap();
                (address, code.line_at(instruction).unwrap().into())
            })
            .collect();
        assert!(expected.len() > 6);
        assert_eq!(found, expected, "{}", target.name);
    }
}
