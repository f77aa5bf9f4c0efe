//! Places that are patched: field accesses and calls, and the slow ways around them.

use super::super::Site;
use super::super::native::{CALL_WORD, FIELD_WORD};
use super::{Compiler, DEPTH_LIMIT, asm, context, slot};
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi};

/// A guard that no object's header ever equals: it has the tags of a record and of a closure.
const NEVER: u32 = u32::MAX;

/// Code out of the way of the fast one.
pub(super) enum Aside {
    /// Lets the machine do the instruction, then goes on.
    Operate { from: DynamicLabel, back: DynamicLabel, pc: u32 },
    /// Lets the machine access a field.
    Field { from: DynamicLabel, back: DynamicLabel, site: u32 },
    /// Lets the machine make the call that a call instruction led here, or goes on to the callee.
    CallStub { from: DynamicLabel, site: u32 },
    /// Lets the machine free the object whose last reference went, then goes on.
    Free { from: DynamicLabel, back: DynamicLabel },
    /// Calls the stub, then goes on.
    CallSlowly { from: DynamicLabel, back: DynamicLabel, stub: DynamicLabel, callee: i32 },
}

impl Compiler {
    pub(super) fn get_field(&mut self, pc: u32, to: u8, object: u8) -> Option<()> {
        let (slow, back) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        let guard = self.guarded_object(object, slow);
        // mov rax, [rax + offset]
        let operand = self.patchable(&[0x48, 0x8b, 0x80], 0);
        self.store(to);
        asm!(self.ops, =>back);
        let site = self.site(pc, Some(guard), operand)?;
        self.aside.push(Aside::Field { from: slow, back, site });
        Some(())
    }

    pub(super) fn set_field(&mut self, pc: u32, object: u8, from: u8) -> Option<()> {
        let (slow, back) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        let guard = self.guarded_object(object, slow);
        asm!(self.ops, mov rcx, [rbx + slot(from)]);
        // lea rdx, [rax + offset]
        let operand = self.patchable(&[0x48, 0x8d, 0x90], 0);
        self.store_slot();
        asm!(self.ops, =>back);
        let site = self.site(pc, Some(guard), operand)?;
        self.aside.push(Aside::Field { from: slow, back, site });
        Some(())
    }

    /// Loads an object into `rax` if the upper half of its header equals the guard.
    fn guarded_object(&mut self, object: u8, slow: DynamicLabel) -> usize {
        asm!(self.ops,
            mov rax, [rbx + slot(object)]
            ; test al, 7
            ; jnz =>slow
        );
        // cmp dword [rax + 4], guard
        let guard = self.patchable(&[0x81, 0x78, 0x04], NEVER);
        asm!(self.ops, jne =>slow);
        guard
    }

    pub(super) fn call_function(&mut self, pc: u32, callee: u8) -> Option<()> {
        let stub = self.ops.new_dynamic_label();
        let operand = self.direct_call(callee, stub);
        let site = self.site(pc, None, operand)?;
        self.aside.push(Aside::CallStub { from: stub, site });
        Some(())
    }

    pub(super) fn call_value(&mut self, pc: u32, callee: u8) -> Option<()> {
        let (slow, back) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        let stub = self.ops.new_dynamic_label();
        let guard = self.guarded_object(callee, slow);
        let operand = self.direct_call(callee, stub);
        asm!(self.ops, =>back);
        let site = self.site(pc, Some(guard), operand)?;
        self.aside.push(Aside::CallStub { from: stub, site });
        self.aside.push(Aside::CallSlowly { from: slow, back, stub, callee: slot(callee) + 8 });
        Some(())
    }

    /// Calls the stub until the call is patched. Calls nested too deeply always go to the stub.
    fn direct_call(&mut self, callee: u8, stub: DynamicLabel) -> usize {
        let (too_deep, done) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        self.aside.push(Aside::CallSlowly { from: too_deep, back: done, stub, callee: slot(callee) + 8 });
        let failed = self.failed;
        asm!(self.ops,
            cmp QWORD [r12], DEPTH_LIMIT
            ; jae =>too_deep
            ; lea rdi, [rbx + slot(callee) + 8]
        );
        self.pad(1);
        let operand = self.here() + 1;
        asm!(self.ops,
            call =>stub
            ; test eax, eax
            ; jnz =>failed
            ; =>done
        );
        operand
    }

    pub(super) fn slow_way(&mut self, aside: &Aside) {
        let failed = self.failed;
        match *aside {
            Aside::Operate { from, back, pc } => {
                asm!(self.ops, =>from);
                self.call_operate(pc);
                asm!(self.ops, test eax, eax; jnz =>failed; jmp =>back);
            }
            Aside::Field { from, back, site } => asm!(self.ops,
                =>from
                ; mov rdi, r12
                ; mov rsi, rbx
                ; mov edx, site.cast_signed()
                ; call QWORD [r12 + context(FIELD_WORD)]
                ; test eax, eax
                ; jnz =>failed
                ; jmp =>back
            ),
            Aside::CallStub { from, site } => asm!(self.ops,
                =>from
                ; push rdi
                ; mov rsi, rdi
                ; mov rdi, r12
                ; mov edx, site.cast_signed()
                ; call QWORD [r12 + context(CALL_WORD)]
                ; pop rdi
                ; cmp rax, 1
                ; jbe >made
                ; jmp rax
                ; made:
                ; ret
            ),
            Aside::Free { from, back } => self.free_slowly(from, back),
            Aside::CallSlowly { from, back, stub, callee } => asm!(self.ops,
                =>from
                ; lea rdi, [rbx + callee]
                ; call =>stub
                ; test eax, eax
                ; jnz =>failed
                ; jmp =>back
            ),
        }
    }

    fn site(&mut self, pc: u32, guard: Option<usize>, operand: usize) -> Option<u32> {
        let number = u32::try_from(self.first_site + self.sites.len()).ok()?;
        self.sites.push(Site { function: self.index, pc, guard, operand });
        Some(number)
    }

    /// An instruction whose last four bytes are patched; returns their address.
    fn patchable(&mut self, opcode: &[u8], operand: u32) -> usize {
        self.pad(opcode.len());
        self.ops.extend(opcode);
        let address = self.here();
        self.ops.push_u32(operand);
        address
    }

    /// Makes the operand after so many bytes of opcode aligned.
    fn pad(&mut self, opcode: usize) {
        while !(self.here() + opcode).is_multiple_of(4) {
            asm!(self.ops, nop);
        }
    }
}
