//! The bytes of the instructions that faulted, read while their process still has them: code that a
//! JIT compiler made after the fork is in no other.

use crate::cpython::memory::Memory;
use crate::kernel::event::BreakEvent;
use std::collections::HashMap;

/// Bytes of the longest instruction.
pub const INSTRUCTION_BYTES: usize = 15;

/// Instructions by process and address.
#[derive(Debug, Default)]
pub struct Code {
    instructions: HashMap<(u32, u64), [u8; INSTRUCTION_BYTES]>,
}

impl Code {
    /// Keeps the instruction of an event, if it was not seen before.
    pub fn keep(&mut self, event: &BreakEvent, memory: &dyn Memory) {
        if !event.by_kernel() {
            let at = event.instruction;
            self.instructions.entry((event.pid, at)).or_insert_with(|| read(memory, at));
        }
    }

    /// The bytes of an instruction; zeros where it could not be read, also behind the end of its area.
    pub fn of(&self, event: &BreakEvent) -> [u8; INSTRUCTION_BYTES] {
        self.instructions.get(&(event.pid, event.instruction)).copied().unwrap_or_default()
    }
}

fn read(memory: &dyn Memory, address: u64) -> [u8; INSTRUCTION_BYTES] {
    let mut bytes = [0; INSTRUCTION_BYTES];
    if !memory.read(address, &mut bytes) {
        let left = (4096 - address % 4096).min(INSTRUCTION_BYTES as u64);
        let _unreadable = usize::try_from(left).is_ok_and(|left| memory.read(address, &mut bytes[..left]));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_read_once_and_up_to_the_end_of_its_page() {
        let mut code = Code::default();
        let event = BreakEvent { pid: 7, instruction: 4096 - 3, ..BreakEvent::default() };
        let one_page = |address: u64, buffer: &mut [u8]| {
            let readable = address + buffer.len() as u64 <= 4096;
            buffer.fill(if readable { 0x90 } else { 0 });
            readable
        };
        code.keep(&event, &one_page);
        code.keep(&event, &|_: u64, _: &mut [u8]| panic!("read again"));
        assert_eq!(code.of(&event)[..4], [0x90, 0x90, 0x90, 0]);
        assert_eq!(code.of(&BreakEvent { pid: 8, ..event }), [0; 15]);
    }
}
