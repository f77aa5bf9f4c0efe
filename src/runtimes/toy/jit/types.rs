//! What kinds of values registers hold, as far as the code and what was seen so far tell.
//!
//! Facts that only experience supports are guarded by compiled code. A guard that fails leaves the
//! compiled code, see [`deopt`](super::deopt).

use super::effects::Effects;
use crate::runtimes::toy::lang::bytecode::{
    Arithmetic, BUILTINS, Comparison, Constant, Function, Op, Program,
};
use crate::runtimes::toy::vm::value::Value;

/// What is known about one register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Unknown,
    /// An integer that stands in the word.
    Int,
    /// A float that stands in the word.
    Float,
    List,
    /// Something that no arithmetic takes, or only the slow way: booleans, strings, records…
    Other,
    /// This word, which is no address.
    Constant(i32),
}

impl Type {
    pub(super) fn is_int(self) -> bool {
        matches!(self, Self::Int) || matches!(self, Self::Constant(bits) if bits & 1 == 1)
    }

    fn is_unknown(self) -> bool {
        self == Self::Unknown
    }

    /// Whether it is nil, a boolean or a builtin, which is equal to nothing but itself.
    pub(super) fn is_special(self) -> bool {
        matches!(self, Self::Constant(bits) if Value::from_short_bits(bits).is_special())
    }

    fn join(self, other: Self) -> Self {
        match (self, other) {
            _ if self == other => self,
            _ if self.is_int() && other.is_int() => Self::Int,
            _ if self.is_other() && other.is_other() => Self::Other,
            _ => Self::Unknown,
        }
    }

    fn is_other(self) -> bool {
        self == Self::Other || self.is_special()
    }
}

/// What the interpreter saw at an instruction besides integers that stand in the word: some of these bits.
pub(crate) type Seen = u8;
/// Floats, all of them in the word.
pub(crate) const SEEN_FLOATS: Seen = 1;
/// A float and an integer, both in the word.
pub(crate) const SEEN_MIXED: Seen = 2;
/// Anything else.
pub(crate) const SEEN_OTHER: Seen = 4;

/// How to compile an instruction that works on two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As integers; a guard for each that is not known to be one.
    Ints,
    /// As floats, converting what is known to be an integer.
    Floats,
    /// Words are compared as they are.
    Words,
    /// Integers at once and everything else by the machine; nothing is guarded.
    Any,
}

/// The way for an arithmetic instruction.
pub(super) fn arithmetic(operator: Arithmetic, left: Type, right: Type, seen: Seen) -> Way {
    match numeric(left, right, seen) {
        // The processor has no remainder of floats.
        Way::Floats if operator == Arithmetic::Rem => Way::Any,
        way => way,
    }
}

/// The way for anything that works on two numbers.
pub(super) fn numeric(left: Type, right: Type, seen: Seen) -> Way {
    let unfit = |kind: Type| kind.is_other() || kind == Type::List;
    let unsure = left.is_unknown() || right.is_unknown();
    if unfit(left) || unfit(right) {
        return Way::Any;
    }
    // What is known needs no experience, unless integers outgrew their words.
    if !unsure && [left, right].contains(&Type::Float) {
        return Way::Floats;
    }
    if seen & SEEN_OTHER != 0 || unsure && seen & SEEN_MIXED != 0 {
        return Way::Any;
    }
    let floats = [left, right].contains(&Type::Float) || seen & SEEN_FLOATS != 0;
    match (left.is_int() && right.is_int(), floats) {
        (true, _) | (_, false) => Way::Ints,
        (false, true) => Way::Floats,
    }
}

/// The way for a comparison. A float is never compared with an integer here: that takes care.
pub(super) fn comparison(operator: Comparison, left: Type, right: Type, seen: Seen) -> Way {
    if matches!(operator, Comparison::Eq | Comparison::Ne) && (left.is_special() || right.is_special()) {
        return Way::Words;
    }
    match numeric(left, right, seen) {
        Way::Floats if left.is_int() || right.is_int() => Way::Any,
        way => way,
    }
}

/// The types of all registers before every instruction that can be reached.
pub(super) struct Types {
    before: Vec<Option<Box<[Type]>>>,
}

/// A function with more instructions times registers is not worth the memory.
const LARGE: usize = 1 << 20;

impl Types {
    /// Follows the code from an instruction on where the registers have the types.
    pub(super) fn flow(
        program: &Program,
        function: &Function,
        effects: &Effects,
        seen: &[Seen],
        from: (usize, Box<[Type]>),
    ) -> Option<Self> {
        if function.code.len() * usize::from(function.frame) > LARGE {
            return None;
        }
        let mut types = Self { before: vec![None; function.code.len()] };
        let (start, at_start) = from;
        types.before[start] = Some(at_start);
        let mut pending = vec![start];
        while let Some(pc) = pending.pop() {
            let Some(mut registers) = types.before[pc].clone() else { continue };
            let (op, effect) = (function.code[pc], &effects.at[pc]);
            after(program, op, seen.get(pc).copied().unwrap_or_default(), &mut registers);
            if let Some(above) = effect.clobbers {
                registers.iter_mut().skip(usize::from(above) + 1).for_each(|kind| *kind = Type::Unknown);
            }
            let next = (!effect.ends).then_some(pc + 1);
            for successor in next.into_iter().chain(effect.target.map(|target| target as usize)) {
                if types.join(successor, &registers) {
                    pending.push(successor);
                }
            }
        }
        Some(types)
    }

    /// Nothing is known, and every instruction can be reached.
    pub(super) fn unknown(function: &Function) -> Self {
        let nothing: Box<[Type]> = vec![Type::Unknown; usize::from(function.frame)].into();
        Self { before: vec![Some(nothing); function.code.len()] }
    }

    /// Whether that taught anything about the instruction.
    fn join(&mut self, pc: usize, registers: &[Type]) -> bool {
        let Some(known) = &mut self.before[pc] else {
            self.before[pc] = Some(registers.into());
            return true;
        };
        let mut changed = false;
        for (known, new) in known.iter_mut().zip(registers) {
            let joined = known.join(*new);
            changed |= joined != *known;
            *known = joined;
        }
        changed
    }

    pub(super) fn before(&self, pc: usize) -> Option<&[Type]> {
        self.before.get(pc)?.as_deref()
    }
}

/// Changes the types to those after the instruction, guards included.
fn after(program: &Program, op: Op, seen: Seen, registers: &mut [Type]) {
    let mut set = |register: u8, kind: Type| registers[usize::from(register)] = kind;
    match op {
        Op::Immediate { to, bits } => set(to, Type::Constant(bits)),
        Op::Constant { to, index } => set(to, constant(&program.constants[index as usize])),
        Op::Move { to, from } => {
            let kind = registers[usize::from(from)];
            registers[usize::from(to)] = kind;
        }
        Op::Arithmetic { operator, to, left, right } => {
            let way = arithmetic(operator, registers[usize::from(left)], registers[usize::from(right)], seen);
            registers[usize::from(to)] = numbers(way, [left, right], registers);
        }
        Op::Compare { operator, to, left, right } => {
            let way = comparison(operator, registers[usize::from(left)], registers[usize::from(right)], seen);
            numbers(way, [left, right], registers);
            registers[usize::from(to)] = Type::Other;
        }
        Op::Negate { to, from } => {
            let kind = registers[usize::from(from)];
            let way = numeric(kind, kind, seen);
            registers[usize::from(to)] = numbers(way, [from], registers);
        }
        Op::NewList { to, .. } => set(to, Type::List),
        Op::Not { to, .. }
        | Op::NewRecord { to, .. }
        | Op::NewClosure { to, .. }
        | Op::NewCell { to, .. }
        | Op::NewMap { to, .. }
        | Op::CaptureCell { to, .. } => set(to, Type::Other),
        Op::GetGlobal { to, .. }
        | Op::GetCell { to, .. }
        | Op::GetCapture { to, .. }
        | Op::GetField { to, .. } => set(to, Type::Unknown),
        Op::GetIndex { to, object, index } => {
            guard_list(seen, object, index, registers);
            registers[usize::from(to)] = Type::Unknown;
        }
        Op::SetIndex { object, index, .. } => guard_list(seen, object, index, registers),
        Op::Call { slot, .. } | Op::CallFunction { slot, .. } => set(slot, Type::Unknown),
        Op::CallBuiltin { slot, builtin, .. } => set(slot, result(builtin)),
        Op::CheckList { list } => set(list, Type::List),
        Op::NextItem { to, state, .. } => {
            set(state + 1, Type::Int);
            set(to, Type::Unknown);
        }
        Op::CheckRange { state } => {
            for bound in [state, state + 1] {
                if !registers[usize::from(bound)].is_int() {
                    registers[usize::from(bound)] = Type::Int;
                }
            }
        }
        Op::NextNumber { to, state, .. } => {
            set(state, Type::Int);
            set(to, Type::Int);
        }
        Op::SetGlobal { .. }
        | Op::SetCell { .. }
        | Op::SetCapture { .. }
        | Op::Append { .. }
        | Op::SetField { .. }
        | Op::Jump { .. }
        | Op::Loop { .. }
        | Op::JumpIfFalse { .. }
        | Op::JumpIfTrue { .. }
        | Op::Return { .. }
        | Op::FailAssertion { .. } => {}
    }
}

/// What the guards of operands teach; the type of an arithmetic result.
fn numbers<const N: usize>(way: Way, operands: [u8; N], registers: &mut [Type]) -> Type {
    let kind = match way {
        Way::Ints => Type::Int,
        Way::Floats => Type::Float,
        Way::Words | Way::Any => return Type::Unknown,
    };
    for operand in operands.map(usize::from) {
        if registers[operand].is_unknown() {
            registers[operand] = kind;
        }
    }
    kind
}

/// Whether an item access is compiled as that of a list.
pub(super) fn is_list_access(object: Type, index: Type, seen: Seen) -> bool {
    let possible = object.is_unknown() || object == Type::List;
    possible && (index.is_unknown() || index.is_int()) && seen & SEEN_OTHER == 0
}

fn guard_list(seen: Seen, object: u8, index: u8, registers: &mut [Type]) {
    if is_list_access(registers[usize::from(object)], registers[usize::from(index)], seen) {
        registers[usize::from(object)] = Type::List;
        if !registers[usize::from(index)].is_int() {
            registers[usize::from(index)] = Type::Int;
        }
    }
}

fn constant(constant: &Constant) -> Type {
    match constant {
        Constant::Float(bits) if Value::small_float(f64::from_bits(*bits)).is_some() => Type::Float,
        Constant::Float(_) | Constant::Int(_) => Type::Unknown,
        Constant::Text(_) | Constant::Function(_) => Type::Other,
    }
}

fn result(builtin: u8) -> Type {
    match BUILTINS[usize::from(builtin)].name {
        "len" => Type::Int,
        "list" => Type::List,
        "str" | "type" | "print" | "push" => Type::Other,
        _ => Type::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtimes::toy::lang::{compiler, parser};

    const ONE: Type = Type::Constant(3);

    #[test]
    fn types_that_differ_join_to_what_both_are() {
        assert_eq!(ONE.join(Type::Constant(5)), Type::Int);
        assert_eq!(ONE.join(Type::Int), Type::Int);
        assert_eq!(Type::Other.join(Type::Constant(4)), Type::Other);
        assert_eq!(Type::Int.join(Type::Float), Type::Unknown);
    }

    #[test]
    fn experience_decides_where_the_code_does_not() {
        assert_eq!(numeric(Type::Unknown, Type::Unknown, 0), Way::Ints);
        assert_eq!(numeric(Type::Unknown, ONE, SEEN_FLOATS), Way::Floats);
        assert_eq!(numeric(Type::Int, Type::Float, 0), Way::Floats);
        assert_eq!(numeric(Type::Unknown, Type::Unknown, SEEN_OTHER), Way::Any);
        assert_eq!(numeric(Type::Unknown, Type::Int, SEEN_MIXED), Way::Any);
        assert_eq!(numeric(Type::Float, Type::Int, SEEN_OTHER), Way::Floats);
        assert_eq!(comparison(Comparison::Lt, Type::Int, Type::Float, 0), Way::Any);
        assert_eq!(comparison(Comparison::Eq, Type::Unknown, Type::Constant(4), 0), Way::Words);
    }

    #[test]
    fn a_counter_stays_an_integer_all_through_its_loop() {
        let source = "fn f(n) { let i = 0; let x = 0.5; while i < n { i = i + 1; x = x * i; } return x; }";
        let program = compiler::compile(&parser::parse(source).unwrap()).unwrap();
        let function = &program.functions[1];
        let effects = Effects::of(&program, function);
        let unknown: Box<[Type]> = vec![Type::Unknown; usize::from(function.frame)].into();
        let types = Types::flow(&program, function, &effects, &[], (0, unknown)).unwrap();
        let (head, end) = effects.loops[0];
        assert_eq!(types.before(head).unwrap()[..3], [Type::Unknown, Type::Int, Type::Float]);
        assert_eq!(types.before(end).unwrap()[..3], [Type::Int, Type::Int, Type::Float]);
    }
}
