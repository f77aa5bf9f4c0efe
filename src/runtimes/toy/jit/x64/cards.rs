//! Marking cards in compiled code, as [`Heap`](super::super::super::gc::heap::Heap) does.

use super::super::native::{CARDS_WORD, YOUNG_WORD};
use super::{Compiler, asm, context};
use crate::runtimes::toy::gc::CARD_SHIFT;
use dynasmrt::{DynasmApi, DynasmLabelApi};

impl Compiler<'_> {
    /// Stores `rcx` into the slot at the address in `rdx` of the object in `rax`, and marks the
    /// object's card if it is old and the value a young object. Changes `rax`.
    pub(super) fn marked_store_slot(&mut self) {
        let done = self.ops.new_dynamic_label();
        asm!(self.ops,
            mov [rdx], rcx
            ; test cl, 7
            ; jnz =>done
            ; cmp rcx, [r12 + context(YOUNG_WORD)]
            ; jb =>done
            ; cmp rax, [r12 + context(YOUNG_WORD)]
            ; jae =>done
            ; shr rax, CARD_SHIFT
            ; add rax, [r12 + context(CARDS_WORD)]
            ; mov BYTE [rax], 1
            ; =>done
        );
    }
}
