//! Which names mean what: local variables, captures, and the names that closures will need.

use super::ast::{Block, Expression, ExpressionKind, Function, Statement, StatementKind};
use super::bytecode::Register;
use std::collections::HashSet;
use std::rc::Rc;

/// A local variable in its register.
#[derive(Clone)]
pub(super) struct Local {
    pub(super) name: Rc<str>,
    pub(super) register: Register,
    /// A closure captures it: the register holds a cell, the cell holds the value.
    pub(super) boxed: bool,
}

/// Where a closure gets a captured cell from when it is made.
#[derive(Clone)]
pub(super) struct Capture {
    pub(super) name: Rc<str>,
    pub(super) source: CaptureSource,
}

#[derive(Clone, Copy)]
pub(super) enum CaptureSource {
    /// A boxed local of the function around.
    Local(Register),
    /// A capture of the function around.
    Capture(u8),
}

/// Every name that functions inside the body mention. A local of such a name gets a cell.
pub(super) fn names_in_closures(body: &Block) -> HashSet<Rc<str>> {
    let mut walk = Walk { inside: false, names: HashSet::new() };
    walk.block(body);
    walk.names
}

/// The same for statements at the module level, where only locals of inner blocks matter.
pub(super) fn names_in_closures_of<'a>(statements: impl Iterator<Item = &'a Statement>) -> HashSet<Rc<str>> {
    let mut walk = Walk { inside: false, names: HashSet::new() };
    statements.for_each(|statement| walk.statement(statement));
    walk.names
}

struct Walk {
    inside: bool,
    names: HashSet<Rc<str>>,
}

impl Walk {
    fn block(&mut self, block: &Block) {
        for statement in &block.statements {
            self.statement(statement);
        }
    }

    fn function(&mut self, function: &Function) {
        let outer = std::mem::replace(&mut self.inside, true);
        self.block(&function.body);
        self.inside = outer;
    }

    fn statement(&mut self, statement: &Statement) {
        match &statement.kind {
            StatementKind::Let { value, .. }
            | StatementKind::Expression(value)
            | StatementKind::Return(Some(value)) => self.expression(value),
            StatementKind::Function { function, .. } => self.function(function),
            StatementKind::Assign { target, value } => {
                self.expression(target);
                self.expression(value);
            }
            StatementKind::Block(block) => self.block(block),
            StatementKind::If { condition, then, otherwise } => {
                self.expression(condition);
                self.block(then);
                if let Some(otherwise) = otherwise {
                    self.block(otherwise);
                }
            }
            StatementKind::While { condition, body } => {
                self.expression(condition);
                self.block(body);
            }
            StatementKind::ForEach { list, body, .. } => {
                self.expression(list);
                self.block(body);
            }
            StatementKind::ForRange { from, to, body, .. } => {
                self.expression(from);
                self.expression(to);
                self.block(body);
            }
            StatementKind::Return(None) | StatementKind::Break | StatementKind::Continue => {}
            StatementKind::Assert { condition, message } => {
                self.expression(condition);
                if let Some(message) = message {
                    self.expression(message);
                }
            }
        }
    }

    fn expression(&mut self, expression: &Expression) {
        match &expression.kind {
            ExpressionKind::Nil
            | ExpressionKind::Bool(_)
            | ExpressionKind::Int(_)
            | ExpressionKind::Float(_)
            | ExpressionKind::Text(_) => {}
            ExpressionKind::Name(name) => {
                if self.inside {
                    self.names.insert(name.clone());
                }
            }
            ExpressionKind::List(items) => items.iter().for_each(|item| self.expression(item)),
            ExpressionKind::Map(entries) => {
                for (key, value) in entries {
                    self.expression(key);
                    self.expression(value);
                }
            }
            ExpressionKind::Record(fields) => fields.iter().for_each(|(_, value)| self.expression(value)),
            ExpressionKind::Function(function) => self.function(function),
            ExpressionKind::Negate(operand) | ExpressionKind::Not(operand) => self.expression(operand),
            ExpressionKind::Binary { left, right, .. }
            | ExpressionKind::Shortcut { left, right, .. }
            | ExpressionKind::Index { object: left, index: right } => {
                self.expression(left);
                self.expression(right);
            }
            ExpressionKind::Call { callee, arguments } => {
                self.expression(callee);
                for argument in arguments {
                    self.expression(argument);
                }
            }
            ExpressionKind::Field { object, .. } => self.expression(object),
        }
    }
}
