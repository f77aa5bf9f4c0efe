//! Decodes the instructions that faulted while their process still has them: code that a JIT compiler
//! made after the fork is in no other.

use super::instruction::{Decoded, Store};
use crate::cpython::memory::Memory;
use crate::kernel::event::BreakEvent;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Bytes of the longest instruction.
const INSTRUCTION_BYTES: usize = 15;

/// Instructions by process and address.
#[derive(Debug, Default)]
pub struct Code {
    instructions: HashMap<(u32, u64), [u8; INSTRUCTION_BYTES]>,
}

impl Code {
    /// What the instruction of an event does to memory; `None` for the kernel's, and where its bytes are
    /// not to be had. `memory` is that of the event's process.
    pub fn decode(&mut self, event: &BreakEvent, memory: Option<&dyn Memory>) -> Option<Decoded> {
        if event.by_kernel() {
            return None;
        }
        let bytes = match self.instructions.entry((event.pid, event.instruction)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(read(memory?, event.instruction)),
        };
        let old = event.old.as_ref().map(<[u8; 16]>::as_slice);
        Store::decode(bytes, event.instruction, event.address, event.registers.as_ref(), old)
    }
}

/// Up to the end of the page where the next one cannot be read; zeros where nothing can.
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
        // add dword ptr [rdi], 1: three bytes, the last of their page.
        const ADD: [u8; 3] = [0x83, 0x07, 0x01];
        let one_page = |address: u64, buffer: &mut [u8]| {
            let readable = address + buffer.len() as u64 <= 4096;
            if readable {
                buffer.copy_from_slice(&ADD[..buffer.len()]);
            }
            readable
        };
        let unreadable = |_: u64, _: &mut [u8]| panic!("read again");
        let mut code = Code::default();
        let event = BreakEvent { pid: 7, instruction: 4096 - 3, address: 1 << 20, ..BreakEvent::default() };
        let decoded = code.decode(&event, Some(&one_page)).unwrap();
        assert_eq!((decoded.store, decoded.width), (Store::Add(Some(1)), 4));
        assert_eq!(code.decode(&event, Some(&unreadable)), Some(decoded));
        assert_eq!(code.decode(&BreakEvent { pid: 8, ..event }, None), None);
        assert_eq!(code.decode(&BreakEvent { instruction: 1 << 63, ..event }, Some(&unreadable)), None);
    }
}
