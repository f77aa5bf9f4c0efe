//! Where ways through a function meet, all of them must agree on where values are.
//!
//! The first way that leads to an instruction decides, in the order of the code; every other one moves
//! values on its way there. At the head of a loop without calls, everything the loop uses is at home.

use super::super::types::Type;
use super::places::{Place, Places, float_of, word_of};
use super::sites::Aside;
use super::{Compiler, asm};
use crate::runtimes::toy::lang::bytecode::Op;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi};

impl Compiler<'_> {
    /// Emits what stands before an instruction that jumps lead to: a way from the one before it, if
    /// that goes on here, and the label.
    pub(super) fn join(&mut self, pc: usize, comes_from_above: bool) {
        let places = self.places_at(pc, comes_from_above);
        if comes_from_above {
            self.move_for(pc);
        }
        let label = self.labels[pc];
        asm!(self.ops, =>label);
        self.places = places;
    }

    /// A label that leads from here to the instruction.
    pub(super) fn way_to(&mut self, target: u32) -> DynamicLabel {
        let target = target as usize;
        if self.moves_for(target).is_empty() {
            return self.labels[target];
        }
        let from = self.ops.new_dynamic_label();
        self.aside.push(Aside::Way { from, target, pc: self.pc, places: self.places });
        from
    }

    /// Goes to the instruction.
    pub(super) fn jump(&mut self, target: usize) {
        self.move_for(target);
        let label = self.labels[target];
        asm!(self.ops, jmp =>label);
    }

    /// Where values are at the instruction, deciding it if nobody did.
    fn places_at(&mut self, pc: usize, comes_from_here: bool) -> Places {
        if let Some(places) = self.decided[pc] {
            return places;
        }
        let here = if comes_from_here { self.places } else { Places::default() };
        let mut places = Places::default();
        let inner = self.effects.loop_at(pc);
        let calls = inner.as_ref().is_some_and(|inner| inner.clone().any(|pc| self.lets_machine_work(pc)));
        for (home, register) in self.homes.iter() {
            let kind = self.types.before(pc).map_or(Type::Unknown, |types| types[usize::from(register)]);
            if !self.effects.is_live(pc, register) {
                continue;
            }
            places[home] = match &inner {
                None => as_it_is(here[home], kind),
                Some(_) if calls => Place::Memory,
                Some(inner) => {
                    let effects = || inner.clone().map(|pc| &self.effects.at[pc]);
                    let writes = effects().any(|effect| effect.writes.contains(register));
                    let changed = here[home].is_changed() || writes;
                    if !writes && !effects().any(|effect| effect.reads.contains(register)) {
                        as_it_is(here[home], kind)
                    } else if kind == Type::Float {
                        Place::Float { changed }
                    } else {
                        Place::Word { changed }
                    }
                }
            };
        }
        self.decided[pc] = Some(places);
        places
    }

    /// Whether the machine works at the instruction every time.
    fn lets_machine_work(&self, pc: usize) -> bool {
        match self.function.code[pc] {
            Op::CallBuiltin { builtin, .. } => !self.is_compiled(builtin),
            Op::Call { .. }
            | Op::CallFunction { .. }
            | Op::NewCell { .. }
            | Op::NewClosure { .. }
            | Op::NewList { .. }
            | Op::NewMap { .. }
            | Op::NewRecord { .. }
            | Op::Append { .. } => true,
            _ => false,
        }
    }

    /// Moves every value to where it is to be at the instruction.
    fn move_for(&mut self, pc: usize) {
        for (home, register, to) in self.moves_for(pc) {
            self.move_one(home, register, self.places[home], to);
        }
    }

    /// Which values are not where they are to be at the instruction: home, register, and place.
    fn moves_for(&mut self, pc: usize) -> Vec<(usize, u8, Place)> {
        let places = self.places_at(pc, true);
        let misplaced = |(home, register): &(usize, u8)| {
            self.effects.is_live(pc, *register) && needs_move(self.places[*home], places[*home])
        };
        let homes = self.homes.iter().filter(misplaced);
        homes.map(|(home, register)| (home, register, places[home])).collect()
    }

    fn move_one(&mut self, home: usize, register: u8, from: Place, to: Place) {
        match (from, to) {
            (Place::Memory, _) => self.read_back_one(to, home, register),
            (Place::Constant(bits), Place::Word { changed: true }) => {
                asm!(self.ops, mov Rq(word_of(home)), bits);
            }
            (Place::Float { .. }, Place::Word { changed: true }) => {
                self.box_float(float_of(home), word_of(home));
            }
            _ => {
                self.write_back_one(home, register);
                if !same_kind(from, to) {
                    self.read_back_one(to, home, register);
                }
            }
        }
    }

    /// A way from a conditional jump to its target, which moves values.
    pub(super) fn way(&mut self, from: DynamicLabel, target: usize, pc: u32, places: Places) {
        (self.pc, self.places) = (pc, places);
        asm!(self.ops, =>from);
        self.jump(target);
    }

    /// Forgets where values are that nobody reads again.
    pub(super) fn forget_dead(&mut self) {
        for (home, register) in self.homes.iter() {
            if !self.effects.is_live(self.pc as usize, register) {
                self.places[home] = Place::Memory;
            }
        }
    }
}

/// Where a value stays, unless ways with values of another kind lead there as well.
fn as_it_is(place: Place, kind: Type) -> Place {
    match place {
        Place::Constant(bits) if kind != Type::Constant(bits) => Place::Word { changed: true },
        Place::Float { .. } if kind != Type::Float => Place::Word { changed: true },
        place => place,
    }
}

fn same_kind(from: Place, to: Place) -> bool {
    matches!(
        (from, to),
        (Place::Word { .. }, Place::Word { .. }) | (Place::Float { .. }, Place::Float { .. })
    )
}

fn needs_move(from: Place, to: Place) -> bool {
    match (from, to) {
        (_, Place::Constant(_)) => false,
        (_, Place::Memory) => from.is_changed(),
        _ => !same_kind(from, to) || from.is_changed() && !to.is_changed(),
    }
}
