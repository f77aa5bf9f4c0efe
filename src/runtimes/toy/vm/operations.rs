//! What single instructions do. Interpreted and compiled code share this, so they cannot differ.

use super::value::Value;
use super::{Frame, Trap, Vm};
use crate::runtimes::toy::gc::object::{Header, Kind};
use crate::runtimes::toy::gc::plan::Reason;
use crate::runtimes::toy::lang::bytecode::{Arithmetic, Comparison, Op};
use crate::runtimes::toy::lang::diagnostic::Diagnostic;
use std::cmp::Ordering;

impl Vm {
    /// Does the instruction at the frame's place.
    pub(crate) fn operate_at(&mut self, site: Frame) -> Result<(), Diagnostic> {
        let op = self.program.functions[site.function as usize].code[site.pc as usize];
        self.operate_as(site, op)
    }

    /// Does an instruction as if it stood at the frame's place, collecting when it is time.
    ///
    /// Instructions change nothing before all their memory is there, so that one which found the
    /// heap full can be done again after a collection.
    pub(crate) fn operate_as(&mut self, site: Frame, op: Op) -> Result<(), Diagnostic> {
        if self.heap.is_collection_due() {
            self.collect(site, Reason::Due);
        }
        let mut result = self.operate(site, op);
        if result == Err(Trap::HeapFull) {
            self.collect(site, Reason::Full);
            result = self.operate(site, op);
        }
        result.map_err(|trap| self.diagnostic(site, trap))
    }

    fn operate(&mut self, site: Frame, op: Op) -> Result<(), Trap> {
        let (to, value) = match op {
            Op::Constant { to, index } => (to, Value(self.globals.get(self.constant_word(index)))),
            Op::GetGlobal { to, index } => (to, self.global(index)?),
            Op::SetGlobal { from, index } => {
                self.set_global(index as usize, self.register(site, from));
                return Ok(());
            }
            Op::NewCell { to, from } => {
                let cell = self.heap.allocate(Header::new(Kind::Cell, 0, 0))?;
                self.heap.init_slot(cell, 0, self.register(site, from));
                (to, Value(cell))
            }
            Op::GetCell { to, cell } => (to, self.heap.slot(self.register(site, cell).0, 0)),
            Op::SetCell { cell, from } => {
                self.heap.set_slot(self.register(site, cell).0, 0, self.register(site, from));
                return Ok(());
            }
            Op::GetCapture { to, index } => (to, self.heap.slot(self.captured_cell(site, index), 0)),
            Op::SetCapture { index, from } => {
                let cell = self.captured_cell(site, index);
                self.heap.set_slot(cell, 0, self.register(site, from));
                return Ok(());
            }
            Op::CaptureCell { to, index } => (to, Value(self.captured_cell(site, index))),
            Op::NewClosure { to, first, function } => (to, self.new_closure(site, first, function)?),
            Op::Arithmetic { operator, to, left, right } => {
                (to, self.arithmetic(operator, self.register(site, left), self.register(site, right))?)
            }
            Op::Compare { operator, to, left, right } => {
                (to, self.compare(operator, self.register(site, left), self.register(site, right))?)
            }
            Op::Negate { to, from } => (to, self.negate(self.register(site, from))?),
            Op::Not { to, from } => (to, Value::boolean(!self.register(site, from).is_truthy())),
            Op::NewList { to, room } => (to, self.new_list(u64::from(room))?),
            Op::NewMap { to, room } => (to, self.new_map(u64::from(room))?),
            Op::Append { list, from } => {
                return self.append(self.register(site, list).0, self.register(site, from));
            }
            Op::NewRecord { to, first, shape } => (to, self.new_record(site, first, shape)?),
            Op::GetField { to, object, name } => (to, self.get_field(self.register(site, object), name)?),
            Op::SetField { object, from, name } => {
                return self.set_field(self.register(site, object), name, self.register(site, from));
            }
            Op::GetIndex { to, object, index } => {
                (to, self.get_index(self.register(site, object), self.register(site, index))?)
            }
            Op::SetIndex { object, index, from } => {
                let (object, index) = (self.register(site, object), self.register(site, index));
                return self.set_index(object, index, self.register(site, from));
            }
            Op::CallBuiltin { slot, arguments, builtin } => {
                (slot, self.call_builtin(site, builtin, slot, arguments)?)
            }
            Op::CheckList { list } => return self.check_list(self.register(site, list)),
            Op::CheckRange { state } => {
                let bounds = (self.register(site, state), self.register(site, state + 1));
                return self.check_range(bounds);
            }
            Op::FailAssertion { message } => return Err(self.assertion(self.register(site, message))),
            Op::Immediate { .. }
            | Op::Move { .. }
            | Op::Jump { .. }
            | Op::Loop { .. }
            | Op::JumpIfFalse { .. }
            | Op::JumpIfTrue { .. }
            | Op::Call { .. }
            | Op::CallFunction { .. }
            | Op::Return { .. }
            | Op::NextItem { .. }
            | Op::NextNumber { .. } => {
                return Err(Trap::error("this instruction belongs to the interpreter loop"));
            }
        };
        self.set_register(site, to, value);
        Ok(())
    }

    fn global(&self, index: u32) -> Result<Value, Trap> {
        let value = Value(self.globals.get(index as usize));
        if value == Value::UNSET {
            let name = &self.program.globals[index as usize];
            return Err(Trap::error(format!("'{name}' is used before its 'let' has run")));
        }
        Ok(value)
    }

    pub(super) fn captured_cell(&self, site: Frame, index: u8) -> u64 {
        let closure = self.stack.get(site.base - 1);
        self.heap.slot(closure, u64::from(index)).0
    }

    fn assertion(&self, message: Value) -> Trap {
        if message == Value::NIL {
            return Trap::error("assertion failed");
        }
        Trap::error(format!("assertion failed: {}", self.display(message)))
    }

    fn arithmetic(&mut self, operator: Arithmetic, left: Value, right: Value) -> Result<Value, Trap> {
        if let (Some(left), Some(right)) = (self.number(left), self.number(right)) {
            return self.calculate(operator, left, right);
        }
        let texts = (self.heap.address_of(left, Kind::Text), self.heap.address_of(right, Kind::Text));
        if let (Arithmetic::Add, (Some(left), Some(right))) = (operator, texts) {
            return self.join(left, right);
        }
        let verb = match operator {
            Arithmetic::Add => "add",
            Arithmetic::Sub => "subtract",
            Arithmetic::Mul => "multiply",
            Arithmetic::Div => "divide",
            Arithmetic::Rem => "take the remainder of",
        };
        Err(Trap::error(format!("cannot {verb} {} and {}", self.a_type(left), self.a_type(right))))
    }

    fn compare(&self, operator: Comparison, left: Value, right: Value) -> Result<Value, Trap> {
        let result = match operator {
            Comparison::Eq => self.equal(left, right),
            Comparison::Ne => !self.equal(left, right),
            Comparison::Lt => self.order(left, right)?.is_some_and(Ordering::is_lt),
            Comparison::Le => self.order(left, right)?.is_some_and(Ordering::is_le),
            Comparison::Gt => self.order(left, right)?.is_some_and(Ordering::is_gt),
            Comparison::Ge => self.order(left, right)?.is_some_and(Ordering::is_ge),
        };
        Ok(Value::boolean(result))
    }

    /// Numbers and strings are equal by value, everything else only to itself.
    pub(super) fn equal(&self, left: Value, right: Value) -> bool {
        if let (Some(left), Some(right)) = (self.number(left), self.number(right)) {
            return left.order(right) == Some(Ordering::Equal);
        }
        left == right || self.texts(left, right).is_some_and(|(left, right)| left == right)
    }

    /// Which of two comes first; none where one of them is the float that is no number.
    fn order(&self, left: Value, right: Value) -> Result<Option<Ordering>, Trap> {
        if let (Some(left), Some(right)) = (self.number(left), self.number(right)) {
            return Ok(left.order(right));
        }
        match self.texts(left, right) {
            Some((left, right)) => Ok(Some(left.cmp(right))),
            None => {
                Err(Trap::error(format!("cannot order {} and {}", self.a_type(left), self.a_type(right))))
            }
        }
    }

    /// The bytes of both, if both are strings.
    fn texts(&self, left: Value, right: Value) -> Option<(&[u8], &[u8])> {
        let left = self.heap.address_of(left, Kind::Text)?;
        let right = self.heap.address_of(right, Kind::Text)?;
        Some((self.heap.text(left), self.heap.text(right)))
    }

    fn check_list(&self, value: Value) -> Result<(), Trap> {
        match self.heap.address_of(value, Kind::List) {
            Some(_) => Ok(()),
            None => Err(Trap::error(format!("'for' goes over a list, not {}", self.a_type(value)))),
        }
    }

    fn check_range(&self, (from, to): (Value, Value)) -> Result<(), Trap> {
        for bound in [from, to] {
            if self.int(bound).is_none() {
                return Err(Trap::error(format!("a range goes from int to int, not {}", self.a_type(bound))));
            }
            if bound.as_small_int().is_none() {
                return Err(Trap::error("a range stays between -(2^62) and 2^62 - 1"));
            }
        }
        Ok(())
    }
}
