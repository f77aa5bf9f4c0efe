//! The grammar of expressions: precedence climbing over calls, items and fields.

use super::ast::{Binary, Expression, ExpressionKind};
use super::diagnostic::{Diagnostic, Position};
use super::lexer::{Keyword, Token};
use super::parser::{Parser, check_depth};

/// An operator between two operands, with how strongly it binds.
#[derive(Clone, Copy)]
enum Infix {
    Or,
    And,
    Binary(Binary),
}

/// Most fields of one record: they are evaluated side by side in the frame.
const FIELD_LIMIT: usize = 64;
const LOWEST: u8 = 1;
const UNARY: u8 = 7;

impl Infix {
    fn strength(self) -> u8 {
        match self {
            Self::Or => LOWEST,
            Self::And => 2,
            Self::Binary(Binary::Eq | Binary::Ne) => 3,
            Self::Binary(Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge) => 4,
            Self::Binary(Binary::Add | Binary::Sub) => 5,
            Self::Binary(Binary::Mul | Binary::Div | Binary::Rem) => 6,
        }
    }

    fn of(token: &Token) -> Option<Self> {
        Some(match token {
            Token::Keyword(Keyword::Or) => Self::Or,
            Token::Keyword(Keyword::And) => Self::And,
            Token::Symbol(symbol) => Self::Binary(match *symbol {
                "==" => Binary::Eq,
                "!=" => Binary::Ne,
                "<" => Binary::Lt,
                "<=" => Binary::Le,
                ">" => Binary::Gt,
                ">=" => Binary::Ge,
                "+" => Binary::Add,
                "-" => Binary::Sub,
                "*" => Binary::Mul,
                "/" => Binary::Div,
                "%" => Binary::Rem,
                _ => return None,
            }),
            _ => return None,
        })
    }
}

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Result<Expression, Diagnostic> {
        self.nested(|parser| parser.infix(LOWEST))
    }

    fn infix(&mut self, weakest: u8) -> Result<Expression, Diagnostic> {
        let mut left = self.prefix()?;
        while let Some(infix) = Infix::of(&self.token).filter(|infix| infix.strength() >= weakest) {
            let at = self.at;
            self.advance()?;
            let right = self.infix(infix.strength() + 1)?;
            let depth = left.depth.max(right.depth);
            let (left_side, right_side) = (Box::new(left), Box::new(right));
            let kind = match infix {
                Infix::Or => ExpressionKind::Shortcut { and: false, left: left_side, right: right_side },
                Infix::And => ExpressionKind::Shortcut { and: true, left: left_side, right: right_side },
                Infix::Binary(operator) => {
                    ExpressionKind::Binary { operator, left: left_side, right: right_side }
                }
            };
            left = node(at, depth, kind)?;
        }
        Ok(left)
    }

    fn prefix(&mut self) -> Result<Expression, Diagnostic> {
        let at = self.at;
        let negate = self.at_symbol("-");
        if !negate && self.token != Token::Keyword(Keyword::Not) {
            return self.postfix();
        }
        self.advance()?;
        let operand = self.nested(|parser| parser.infix(if negate { UNARY } else { 3 }))?;
        let depth = operand.depth;
        let operand = Box::new(operand);
        node(at, depth, if negate { ExpressionKind::Negate(operand) } else { ExpressionKind::Not(operand) })
    }

    fn postfix(&mut self) -> Result<Expression, Diagnostic> {
        let mut object = self.primary()?;
        loop {
            let at = self.at;
            if self.accept_symbol("(")? {
                let mut arguments = Vec::new();
                self.expressions_until(")", &mut arguments)?;
                let depth = deepest(&arguments).max(object.depth);
                object = node(at, depth, ExpressionKind::Call { callee: Box::new(object), arguments })?;
            } else if self.accept_symbol("[")? {
                let index = self.expression()?;
                self.expect_symbol("]")?;
                let depth = index.depth.max(object.depth);
                let (inner, index) = (Box::new(object), Box::new(index));
                object = node(at, depth, ExpressionKind::Index { object: inner, index })?;
            } else if self.accept_symbol(".")? {
                let name = self.expect_name()?;
                object = node(at, object.depth, ExpressionKind::Field { object: Box::new(object), name })?;
            } else {
                return Ok(object);
            }
        }
    }

    fn primary(&mut self) -> Result<Expression, Diagnostic> {
        let at = self.at;
        match &self.token {
            Token::Symbol("(") => {
                self.advance()?;
                let inner = self.expression()?;
                self.expect_symbol(")")?;
                return Ok(inner);
            }
            Token::Symbol("[") => {
                self.advance()?;
                return self.list_or_map(at);
            }
            Token::Symbol("{") => return self.record(),
            Token::Keyword(Keyword::Fn) => {
                self.advance()?;
                let function = self.function()?;
                return node(at, function.body.depth, ExpressionKind::Function(Box::new(function)));
            }
            _ => {}
        }
        let kind = match &self.token {
            Token::Keyword(Keyword::Nil) => ExpressionKind::Nil,
            Token::Keyword(Keyword::True) => ExpressionKind::Bool(true),
            Token::Keyword(Keyword::False) => ExpressionKind::Bool(false),
            Token::Int(value) => ExpressionKind::Int(*value),
            Token::Float(value) => ExpressionKind::Float(*value),
            Token::Text(text) => ExpressionKind::Text(text.clone()),
            Token::Name(name) => ExpressionKind::Name(name.clone()),
            _ => return Err(self.unexpected("an expression")),
        };
        self.advance()?;
        node(at, 0, kind)
    }

    /// What follows an opening bracket: the first colon makes it a map.
    fn list_or_map(&mut self, at: Position) -> Result<Expression, Diagnostic> {
        if self.accept_symbol(":")? {
            self.expect_symbol("]")?;
            return node(at, 0, ExpressionKind::Map(Vec::new()));
        }
        if self.accept_symbol("]")? {
            return node(at, 0, ExpressionKind::List(Vec::new()));
        }
        let first = self.expression()?;
        if self.at_symbol(":") {
            return self.map(at, first);
        }
        let mut items = vec![first];
        if !self.at_symbol("]") {
            self.expect_symbol(",")?;
        }
        self.expressions_until("]", &mut items)?;
        node(at, deepest(&items), ExpressionKind::List(items))
    }

    /// A map from the colon after its first key on.
    fn map(&mut self, at: Position, first: Expression) -> Result<Expression, Diagnostic> {
        let (mut entries, mut key) = (Vec::new(), first);
        loop {
            self.expect_symbol(":")?;
            entries.push((key, self.expression()?));
            if !self.at_symbol("]") {
                self.expect_symbol(",")?;
            }
            if self.accept_symbol("]")? {
                break;
            }
            key = self.expression()?;
        }
        let depth = entries.iter().map(|(key, value)| key.depth.max(value.depth)).max().unwrap_or(0);
        node(at, depth, ExpressionKind::Map(entries))
    }

    fn record(&mut self) -> Result<Expression, Diagnostic> {
        let at = self.at;
        self.advance()?;
        let mut fields = Vec::new();
        while !self.accept_symbol("}")? {
            let name_at = self.at;
            let name = self.expect_name()?;
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(Diagnostic::new(name_at, format!("the field '{name}' stands here twice")));
            }
            if fields.len() >= FIELD_LIMIT {
                return Err(Diagnostic::new(name_at, format!("more than {FIELD_LIMIT} fields")));
            }
            self.expect_symbol(":")?;
            fields.push((name, self.expression()?));
            if !self.at_symbol("}") {
                self.expect_symbol(",")?;
            }
        }
        let depth = fields.iter().map(|(_, value)| value.depth).max().unwrap_or(0);
        node(at, depth, ExpressionKind::Record(fields))
    }

    fn expressions_until(&mut self, closing: &str, all: &mut Vec<Expression>) -> Result<(), Diagnostic> {
        while !self.accept_symbol(closing)? {
            all.push(self.expression()?);
            if !self.at_symbol(closing) {
                self.expect_symbol(",")?;
            }
        }
        Ok(())
    }
}

fn deepest(all: &[Expression]) -> u32 {
    all.iter().map(|expression| expression.depth).max().unwrap_or(0)
}

fn node(at: Position, inner: u32, kind: ExpressionKind) -> Result<Expression, Diagnostic> {
    let depth = inner + 1;
    check_depth(depth, at)?;
    Ok(Expression { at, depth, kind })
}
