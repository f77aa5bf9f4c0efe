//! Tokens to items, statements and blocks; `expressions.rs` holds the rest of the grammar.

use super::ast::{
    Block, Expression, ExpressionKind, Function, Import, Item, Module, Statement, StatementKind, Step,
};
use super::diagnostic::{Diagnostic, Position};
use super::lexer::{Keyword, Lexer, Token};
use std::rc::Rc;

/// Deepest nesting of one tree. Every later pass recurses at most so often.
pub(super) const DEPTH_LIMIT: u32 = 100;

const PARAMETER_LIMIT: usize = 32;

/// Parses a program of one file.
pub(crate) fn parse(source: &str) -> Result<Module, Diagnostic> {
    parse_file(source, 0)
}

/// Parses one file of a program, which [`Sources`](super::diagnostic::Sources) has numbered.
pub(crate) fn parse_file(source: &str, file: u16) -> Result<Module, Diagnostic> {
    let mut lexer = Lexer::new(source, file);
    let (token, at) = lexer.next_token()?;
    let mut parser = Parser { lexer, token, at, nesting: 0 };
    let mut items = Vec::new();
    while parser.token == Token::Keyword(Keyword::Import) {
        items.push(Item::Import(parser.import()?));
    }
    while parser.token != Token::End {
        items.push(parser.item()?);
    }
    Ok(Module { items })
}

pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    pub(super) token: Token,
    pub(super) at: Position,
    nesting: u32,
}

impl Parser<'_> {
    pub(super) fn advance(&mut self) -> Result<Token, Diagnostic> {
        let (token, at) = self.lexer.next_token()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    pub(super) fn at_symbol(&self, symbol: &str) -> bool {
        matches!(self.token, Token::Symbol(found) if found == symbol)
    }

    pub(super) fn accept_symbol(&mut self, symbol: &str) -> Result<bool, Diagnostic> {
        let found = self.at_symbol(symbol);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn accept_keyword(&mut self, keyword: Keyword) -> Result<bool, Diagnostic> {
        let found = self.token == Token::Keyword(keyword);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    pub(super) fn expect_symbol(&mut self, symbol: &str) -> Result<(), Diagnostic> {
        if self.accept_symbol(symbol)? { Ok(()) } else { Err(self.unexpected(&format!("'{symbol}'"))) }
    }

    pub(super) fn expect_name(&mut self) -> Result<Rc<str>, Diagnostic> {
        match &self.token {
            Token::Name(name) => {
                let name = name.clone();
                self.advance()?;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    pub(super) fn unexpected(&self, wanted: &str) -> Diagnostic {
        Diagnostic::new(self.at, format!("expected {wanted}, found {}", self.token))
    }

    /// Parses one level deeper, or refuses when the nesting gets too deep.
    pub(super) fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Diagnostic>,
    ) -> Result<T, Diagnostic> {
        if self.nesting >= DEPTH_LIMIT {
            return Err(too_deep(self.at));
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }

    fn item(&mut self) -> Result<Item, Diagnostic> {
        let at = self.at;
        if self.accept_keyword(Keyword::Step)? {
            return Ok(Item::Step(self.step(at)?));
        }
        let statement = self.statement()?;
        Ok(match statement.kind {
            StatementKind::Function { name, function } => Item::Function { name, at, function },
            _ => Item::Statement(statement),
        })
    }

    fn import(&mut self) -> Result<Import, Diagnostic> {
        let at = self.at;
        self.advance()?;
        let Token::Text(path) = self.token.clone() else {
            return Err(self.unexpected("the module's name in quotes"));
        };
        self.advance()?;
        self.expect_word("as")?;
        let name = self.expect_name()?;
        self.expect_symbol(";")?;
        Ok(Import { path, name, at })
    }

    /// A step from its name on.
    fn step(&mut self, at: Position) -> Result<Step, Diagnostic> {
        let name = match &self.token {
            Token::Text(text) => text.clone(),
            Token::Name(name) => name.clone(),
            _ => return Err(self.unexpected("the step's name")),
        };
        self.advance()?;
        let in_zygote = self.accept_keyword(Keyword::In)?;
        if in_zygote {
            self.expect_word("zygote")?;
        }
        Ok(Step { name, at, in_zygote, body: self.block()? })
    }

    /// A name that means something at this place only, and is free to use elsewhere.
    fn expect_word(&mut self, word: &str) -> Result<(), Diagnostic> {
        if !matches!(&self.token, Token::Name(name) if **name == *word) {
            return Err(self.unexpected(&format!("'{word}'")));
        }
        self.advance().map(drop)
    }

    pub(super) fn block(&mut self) -> Result<Block, Diagnostic> {
        self.nested(|parser| {
            let at = parser.at;
            parser.expect_symbol("{")?;
            let mut statements = Vec::new();
            while !parser.accept_symbol("}")? {
                statements.push(parser.statement()?);
            }
            let depth = 1 + statements.iter().map(Statement::depth).max().unwrap_or(0);
            check_depth(depth, at)?;
            Ok(Block { statements, depth })
        })
    }

    /// Parameters and body, from the opening parenthesis on.
    pub(super) fn function(&mut self) -> Result<Function, Diagnostic> {
        self.expect_symbol("(")?;
        let mut parameters: Vec<(Rc<str>, Position)> = Vec::new();
        while !self.accept_symbol(")")? {
            let at = self.at;
            let name = self.expect_name()?;
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(Diagnostic::new(at, format!("the parameter '{name}' stands here twice")));
            }
            if parameters.len() >= PARAMETER_LIMIT {
                return Err(Diagnostic::new(at, format!("more than {PARAMETER_LIMIT} parameters")));
            }
            parameters.push((name, at));
            if !self.at_symbol(")") {
                self.expect_symbol(",")?;
            }
        }
        Ok(Function { parameters, body: self.block()? })
    }

    fn statement(&mut self) -> Result<Statement, Diagnostic> {
        let at = self.at;
        let kind = match &self.token {
            Token::Keyword(keyword) => self.keyword_statement(*keyword)?,
            Token::Symbol("{") => StatementKind::Block(self.block()?),
            _ => self.expression_statement()?,
        };
        Ok(Statement { at, kind })
    }

    fn keyword_statement(&mut self, keyword: Keyword) -> Result<StatementKind, Diagnostic> {
        match keyword {
            Keyword::Let => self.let_statement(),
            Keyword::Fn => self.function_statement(),
            Keyword::If => self.if_statement(),
            Keyword::While => {
                self.advance()?;
                Ok(StatementKind::While { condition: self.expression()?, body: self.block()? })
            }
            Keyword::For => self.for_statement(),
            Keyword::Return => self.return_statement(),
            Keyword::Assert => self.assert_statement(),
            Keyword::Break => self.ended(StatementKind::Break),
            Keyword::Continue => self.ended(StatementKind::Continue),
            Keyword::Import => {
                Err(Diagnostic::new(self.at, "imports stand at the top of the file, before everything else"))
            }
            Keyword::Step => Err(Diagnostic::new(self.at, "a step may stand at the top of the file only")),
            _ => self.expression_statement(),
        }
    }

    fn ended(&mut self, kind: StatementKind) -> Result<StatementKind, Diagnostic> {
        self.advance()?;
        self.expect_symbol(";")?;
        Ok(kind)
    }

    fn let_statement(&mut self) -> Result<StatementKind, Diagnostic> {
        self.advance()?;
        let name = self.expect_name()?;
        self.expect_symbol("=")?;
        let value = self.expression()?;
        self.expect_symbol(";")?;
        Ok(StatementKind::Let { name, value })
    }

    fn function_statement(&mut self) -> Result<StatementKind, Diagnostic> {
        self.advance()?;
        let name = self.expect_name()?;
        Ok(StatementKind::Function { name, function: self.function()? })
    }

    fn if_statement(&mut self) -> Result<StatementKind, Diagnostic> {
        self.advance()?;
        let condition = self.expression()?;
        let then = self.block()?;
        let otherwise = if self.accept_keyword(Keyword::Else)? { Some(self.else_block()?) } else { None };
        Ok(StatementKind::If { condition, then, otherwise })
    }

    /// `else { … }`, or `else if …` as a block of that one statement.
    fn else_block(&mut self) -> Result<Block, Diagnostic> {
        if self.token != Token::Keyword(Keyword::If) {
            return self.block();
        }
        self.nested(|parser| {
            let at = parser.at;
            let statement = Statement { at, kind: parser.if_statement()? };
            let depth = 1 + statement.depth();
            check_depth(depth, at)?;
            Ok(Block { statements: vec![statement], depth })
        })
    }

    fn for_statement(&mut self) -> Result<StatementKind, Diagnostic> {
        self.advance()?;
        let name = self.expect_name()?;
        if !self.accept_keyword(Keyword::In)? {
            return Err(self.unexpected("'in'"));
        }
        let first = self.expression()?;
        if self.accept_symbol("..")? {
            let to = self.expression()?;
            return Ok(StatementKind::ForRange { name, from: first, to, body: self.block()? });
        }
        Ok(StatementKind::ForEach { name, list: first, body: self.block()? })
    }

    fn return_statement(&mut self) -> Result<StatementKind, Diagnostic> {
        self.advance()?;
        let value = if self.at_symbol(";") { None } else { Some(self.expression()?) };
        self.expect_symbol(";")?;
        Ok(StatementKind::Return(value))
    }

    fn assert_statement(&mut self) -> Result<StatementKind, Diagnostic> {
        self.advance()?;
        let condition = self.expression()?;
        let message = if self.accept_symbol(",")? { Some(self.expression()?) } else { None };
        self.expect_symbol(";")?;
        Ok(StatementKind::Assert { condition, message })
    }

    fn expression_statement(&mut self) -> Result<StatementKind, Diagnostic> {
        let first = self.expression()?;
        let equals = self.at;
        if !self.accept_symbol("=")? {
            self.expect_symbol(";")?;
            return Ok(StatementKind::Expression(first));
        }
        if !matches!(
            first.kind,
            ExpressionKind::Name(_) | ExpressionKind::Index { .. } | ExpressionKind::Field { .. }
        ) {
            return Err(Diagnostic::new(equals, "only a name, an item or a field can be assigned to"));
        }
        let value = self.expression()?;
        self.expect_symbol(";")?;
        Ok(StatementKind::Assign { target: first, value })
    }
}

impl Statement {
    fn depth(&self) -> u32 {
        let optional = |block: &Option<Block>| block.as_ref().map_or(0, |b| b.depth);
        let maybe = |expression: &Option<Expression>| expression.as_ref().map_or(0, |e| e.depth);
        1 + match &self.kind {
            StatementKind::Let { value, .. } | StatementKind::Expression(value) => value.depth,
            StatementKind::Function { function, .. } => function.body.depth,
            StatementKind::Assign { target, value } => target.depth.max(value.depth),
            StatementKind::Block(block) => block.depth,
            StatementKind::If { condition, then, otherwise } => {
                condition.depth.max(then.depth).max(optional(otherwise))
            }
            StatementKind::While { condition, body } => condition.depth.max(body.depth),
            StatementKind::ForEach { list, body, .. } => list.depth.max(body.depth),
            StatementKind::ForRange { from, to, body, .. } => from.depth.max(to.depth).max(body.depth),
            StatementKind::Return(value) => maybe(value),
            StatementKind::Assert { condition, message } => condition.depth.max(maybe(message)),
            StatementKind::Break | StatementKind::Continue => 0,
        }
    }
}

pub(super) fn check_depth(depth: u32, at: Position) -> Result<(), Diagnostic> {
    if depth > 4 * DEPTH_LIMIT { Err(too_deep(at)) } else { Ok(()) }
}

fn too_deep(at: Position) -> Diagnostic {
    Diagnostic::new(at, "the program is nested too deeply here; split it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(source: &str) -> String {
        parse(source).err().map(|d| d.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_module_of_every_statement_parses() {
        let source = r#"
            let a = [1, 2, {x: 1, y: "t"}];
            fn f(p, q) { if p == q { return; } else if not p { return q; } else { return -p; } }
            for v in a { print(v); continue; }
            for i in 0..len(a) { while true { break; } }
            { let b = fn(x) { return x; }; b(1).c[2] = 3; }
            assert 1 <= 2, "order";
            step one { a[0] = 1; }
            step "step two" { }
            step three in zygote { let as = 1; let zygote = as; }
        "#;
        let module = parse(source).map_err(|d| d.to_string()).unwrap();
        assert_eq!(module.items.len(), 9);
    }

    #[test]
    fn errors_say_what_was_expected_and_where() {
        for (source, expected) in [
            ("let = 1;", "1:5: expected a name, found '='"),
            ("let a = 1", "1:10: expected ';', found the end of the file"),
            ("fn f(a, a) {}", "1:9: the parameter 'a' stands here twice"),
            ("1 = 2;", "1:3: only a name, an item or a field can be assigned to"),
            ("if true { step x {} }", "1:11: a step may stand at the top of the file only"),
            ("step { }", "1:6: expected the step's name, found '{'"),
            ("for x of y {}", "1:7: expected 'in', found 'of'"),
            ("import x as y;", "1:8: expected the module's name in quotes, found 'x'"),
            ("import \"x\" to y;", "1:12: expected 'as', found 'to'"),
            (
                "let a = 1; import \"x\" as y;",
                "1:12: imports stand at the top of the file, before everything else",
            ),
            ("step x in worker {}", "1:11: expected 'zygote', found 'worker'"),
            ("print(1;", "1:8: expected ',', found ';'"),
        ] {
            assert_eq!(refused(source), expected);
        }
    }

    #[test]
    fn no_nesting_runs_out_of_stack() {
        for pattern in [
            "(",
            "[",
            "{",
            "-",
            "not ",
            "f(",
            "if a {",
            "x.y[",
            "fn() {",
            "a+",
            "{a:",
            "[a:",
            "[a:[",
            "if a {} else ",
        ] {
            let source = pattern.repeat(200_000);
            assert!(!refused(&source).is_empty(), "{pattern}");
        }
        for chain in ["let a = 1", "let a = b"] {
            for link in ["+1", ".c", "()", "[0]", " and 1"] {
                let source = format!("{chain}{};", link.repeat(100_000));
                assert!(refused(&source).contains("nested too deeply"), "{link}");
            }
        }
    }
}
