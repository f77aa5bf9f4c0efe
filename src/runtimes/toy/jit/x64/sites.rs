//! Places that change: field accesses and calls. The first entry of an inline cache stands in the hot
//! code, the others in a chain in the cold code, which ends with the slow way.

use super::super::native::{CALL_WORD, FIELD_WORD};
use super::super::site::{Cache, ENTRIES, Entry, Site};
use super::places::{Places, R8, RAX};
use super::slots::Hit;
use super::{Compiler, DEPTH_LIMIT, asm, context, slot};
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi};

/// Code out of the way of the fast one.
pub(super) enum Aside {
    /// Lets the machine do the instruction, then goes on. Says where values are before and after.
    Operate { from: DynamicLabel, back: DynamicLabel, pc: u32, before: Places, after: Places },
    /// Leaves the compiled code.
    Exit { from: DynamicLabel, pc: u32, places: Places, is_seed: bool },
    /// Moves values to where they are to be at the target.
    Way { from: DynamicLabel, target: usize, pc: u32, places: Places },
    /// The other entries of an inline cache, and its slow way.
    Chain(Chain),
    /// What a call of a named function leads to until it is linked: lets the machine make the call, or
    /// goes on to the callee.
    CallStub { from: DynamicLabel, site: u32 },
    /// Lets the machine free the object whose last reference went, then goes on.
    Free { from: DynamicLabel, back: DynamicLabel },
    /// Divides an integer that multiplication is not exact for, then goes on.
    Divide { from: DynamicLabel, back: DynamicLabel, divisor: i32 },
    /// Calls the stub, then goes on.
    CallSlowly { from: DynamicLabel, back: DynamicLabel, stub: DynamicLabel, callee: u8 },
}

/// The cold part of an inline cache.
pub(super) struct Chain {
    pc: u32,
    hit: Hit,
    /// The entry in the hot code.
    first: Entry,
    /// Where the hot code goes when its entry is another one's.
    others: DynamicLabel,
    /// Where it goes with what no entry can be for.
    miss: DynamicLabel,
    /// Where the hot code goes on after an entry that held.
    found: DynamicLabel,
    slow: Slow,
}

/// What to let the machine do.
#[derive(Clone, Copy)]
enum Slow {
    /// The whole access; then the hot code goes on here. Says where values are before and after.
    Field { back: DynamicLabel, before: Places, after: Places },
    /// The call.
    Call { callee: u8 },
}

impl Compiler<'_> {
    pub(super) fn get_field(&mut self, to: u8, object: u8) -> Option<()> {
        self.field(Hit::Get, object, |compiler| compiler.set_word(to))
    }

    pub(super) fn set_field(&mut self, object: u8, from: u8) -> Option<()> {
        self.field(Hit::Set, object, |compiler| {
            compiler.word_in_beside_address(from);
            compiler.store_slot();
        })
    }

    /// Accesses a field: the rest is what to do once the field is found.
    fn field(&mut self, hit: Hit, object: u8, rest: impl FnOnce(&mut Self)) -> Option<()> {
        let (miss, back) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        self.word_in(object, RAX);
        let before = self.places;
        let chain = self.cache(hit, miss)?;
        rest(self);
        asm!(self.ops, =>back);
        let slow = Slow::Field { back, before, after: self.places };
        self.aside.push(Aside::Chain(Chain { slow, ..chain }));
        Some(())
    }

    pub(super) fn call_value(&mut self, callee: u8) -> Option<()> {
        self.leave_homes();
        let (miss, failed) = (self.ops.new_dynamic_label(), self.failed);
        asm!(self.ops,
            cmp QWORD [r12], DEPTH_LIMIT
            ; jae =>miss
            ; lea rdi, [rbx + slot(callee) + 8]
            ; mov rax, [rbx + slot(callee)]
        );
        let chain = self.cache(Hit::Call, miss)?;
        self.aside.push(Aside::Chain(Chain { slow: Slow::Call { callee }, ..chain }));
        asm!(self.ops, test eax, eax; jnz =>failed);
        Some(())
    }

    /// An inline cache for the object in `rax`.
    fn cache(&mut self, hit: Hit, miss: DynamicLabel) -> Option<Chain> {
        let (others, found) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        asm!(self.ops, test al, 7; jnz =>miss);
        let first = self.entry(hit, others)?;
        asm!(self.ops, =>found);
        Some(Chain { pc: self.pc, hit, first, others, miss, found, slow: Slow::Call { callee: 0 } })
    }

    /// Calls the stub until the call is linked. Calls nested too deeply always go to the stub.
    pub(super) fn call_function(&mut self, callee: u8) -> Option<()> {
        self.leave_homes();
        let (stub, failed) = (self.ops.new_dynamic_label(), self.failed);
        let (too_deep, back) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        asm!(self.ops,
            cmp QWORD [r12], DEPTH_LIMIT
            ; jae =>too_deep
            ; lea rdi, [rbx + slot(callee) + 8]
        );
        let target = self.call_target(stub)?;
        asm!(self.ops, =>back; test eax, eax; jnz =>failed);
        let site = self.site(self.pc, Cache::Target(target))?;
        self.aside.push(Aside::CallStub { from: stub, site });
        self.aside.push(Aside::CallSlowly { from: too_deep, back, stub, callee });
        Some(())
    }

    pub(super) fn aside(&mut self, aside: Aside) -> Option<()> {
        match aside {
            Aside::Operate { from, back, pc, before, after } => {
                (self.pc, self.places) = (pc, before);
                self.operate_aside(from, back, &after);
            }
            Aside::Exit { from, pc, places, is_seed } => {
                (self.pc, self.places) = (pc, places);
                self.leave(from, is_seed)?;
            }
            Aside::Way { from, target, pc, places } => self.way(from, target, pc, places),
            Aside::Chain(chain) => self.chain(&chain)?,
            Aside::CallStub { from, site } => asm!(self.ops,
                =>from
                ; push rdi
                ; mov rsi, rdi
                ; mov rdi, r12
                ; mov edx, site.cast_signed()
                ; xor ecx, ecx
                ; call QWORD [r12 + context(CALL_WORD)]
                ; pop rdi
                ; cmp rax, 1
                ; jbe >made
                ; jmp rax
                ; made:
                ; ret
            ),
            Aside::Free { from, back } => self.free_slowly(from, back),
            Aside::Divide { from, back, divisor } => self.divide_wide(from, back, divisor),
            Aside::CallSlowly { from, back, stub, callee } => asm!(self.ops,
                =>from
                ; lea rdi, [rbx + slot(callee) + 8]
                ; call =>stub
                ; jmp =>back
            ),
        }
        Some(())
    }

    fn chain(&mut self, chain: &Chain) -> Option<()> {
        let (mut entries, mut from, found) = (vec![chain.first], chain.others, chain.found);
        while entries.len() < ENTRIES {
            let next = self.ops.new_dynamic_label();
            asm!(self.ops, =>from);
            entries.push(self.entry(chain.hit, next)?);
            asm!(self.ops, jmp =>found);
            from = next;
        }
        let miss = chain.miss;
        asm!(self.ops, =>from; =>miss);
        if let Slow::Field { before, .. } = chain.slow {
            (self.pc, self.places) = (chain.pc, before);
            self.write_back();
        }
        let counter = self.counter()?;
        let site = self.site(chain.pc, Cache::Entries { entries, counter })?;
        match chain.slow {
            Slow::Field { back, after, .. } => self.access_field(site, back, &after),
            Slow::Call { callee } => self.call_through_machine(site, callee, found),
        }
        Some(())
    }

    fn access_field(&mut self, site: u32, back: DynamicLabel, after: &Places) {
        let failed = self.failed;
        asm!(self.ops,
            mov rdi, r12
            ; mov rsi, rbx
            ; mov edx, site.cast_signed()
            ; call QWORD [r12 + context(FIELD_WORD)]
            ; test eax, eax
            ; jnz =>failed
        );
        self.read_back(after);
        asm!(self.ops, jmp =>back);
    }

    /// The machine answers a status, or the callee's code.
    fn call_through_machine(&mut self, site: u32, callee: u8, back: DynamicLabel) {
        asm!(self.ops,
            mov rdi, r12
            ; lea rsi, [rbx + slot(callee) + 8]
            ; mov edx, site.cast_signed()
            ; call QWORD [r12 + context(CALL_WORD)]
            ; cmp rax, 1
            ; jbe =>back
            ; lea rdi, [rbx + slot(callee) + 8]
            ; call rax
            ; jmp =>back
        );
    }

    /// Loads a register into `rcx`, and leaves the slot's address in `rdx` alone.
    fn word_in_beside_address(&mut self, from: u8) {
        asm!(self.ops, mov rcx, rdx);
        let word = self.word(from, R8);
        asm!(self.ops, mov rdx, rcx; mov rcx, Rq(word));
    }

    fn site(&mut self, pc: u32, cache: Cache) -> Option<u32> {
        let number = u32::try_from(self.layout.first_site + self.sites.len()).ok()?;
        self.sites.push(Site { function: self.index, pc, cache });
        Some(number)
    }
}
