//! The concrete syntax tree: every token as it was spelled, with its comments and blank lines.
//!
//! Only programs that parse are read into it, so brackets match and nest no deeper than the parser
//! allows.

use crate::runtimes::toy::lang::diagnostic::Diagnostic;
use crate::runtimes::toy::lang::lexer::{Keyword, Lexer, Token};

pub(super) struct Comment<'a> {
    pub(super) text: &'a str,
    /// Stands behind other text on its line.
    pub(super) is_trailing: bool,
    pub(super) blank_before: bool,
}

/// A token as it was spelled, and what stood between it and the one before.
pub(super) struct Lexeme<'a> {
    pub(super) token: Token,
    pub(super) text: &'a str,
    pub(super) comments: Vec<Comment<'a>>,
    pub(super) blank_before: bool,
    pub(super) begins_line: bool,
}

/// Brackets of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Arguments or parameters.
    Call,
    /// Around an expression.
    Parentheses,
    Index,
    ListOrMap,
    Record,
}

pub(super) enum Node<'a> {
    Leaf(Lexeme<'a>),
    Group {
        kind: Kind,
        open: Lexeme<'a>,
        items: Vec<Vec<Self>>,
        close: Lexeme<'a>,
    },
    Block {
        /// Of a function, and not of a statement.
        is_function: bool,
        open: Lexeme<'a>,
        statements: Vec<Vec<Self>>,
        close: Lexeme<'a>,
    },
}

impl<'a> Node<'a> {
    pub(super) fn first(&self) -> &Lexeme<'a> {
        match self {
            Self::Leaf(lexeme) => lexeme,
            Self::Group { open, .. } | Self::Block { open, .. } => open,
        }
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self, Self::Leaf(Lexeme { token: Token::Symbol(found), .. }) if *found == symbol)
    }

    pub(super) fn is_keyword(&self, keyword: Keyword) -> bool {
        matches!(self, Self::Leaf(Lexeme { token: Token::Keyword(found), .. }) if *found == keyword)
    }

    /// Whether an expression may end here, so that what follows is applied to it.
    pub(super) fn is_operand(&self) -> bool {
        match self {
            Self::Leaf(lexeme) => match lexeme.token {
                Token::Keyword(keyword) => {
                    matches!(keyword, Keyword::Nil | Keyword::True | Keyword::False)
                }
                Token::Symbol(_) | Token::End => false,
                _ => true,
            },
            Self::Group { .. } | Self::Block { .. } => true,
        }
    }
}

/// A whole file: its statements, and the end with the comments before it.
pub(super) fn read(source: &str) -> Result<(Vec<Vec<Node<'_>>>, Lexeme<'_>), Diagnostic> {
    let mut lexemes = lexemes(source)?;
    lexemes.reverse();
    let mut reader = Reader { rest: lexemes };
    let statements = reader.statements();
    Ok((statements, reader.next()))
}

/// All tokens of the source, the end among them.
pub(super) fn lexemes(source: &str) -> Result<Vec<Lexeme<'_>>, Diagnostic> {
    let mut lexer = Lexer::new(source, 0);
    let mut all: Vec<Lexeme<'_>> = Vec::new();
    loop {
        let before = lexer.rest();
        let (token, _) = lexer.next_token()?;
        let consumed = &before[..before.len() - lexer.rest().len()];
        let is_end = token == Token::End;
        all.push(lexeme(token, consumed, all.is_empty()));
        if is_end {
            return Ok(all);
        }
    }
}

/// Splits what was consumed into comments and the token.
fn lexeme(token: Token, consumed: &str, is_first: bool) -> Lexeme<'_> {
    let mut comments = Vec::new();
    let mut rest = consumed;
    // A line break that ended a comment counts for what follows it.
    let mut after_comment = false;
    loop {
        let text = rest.trim_start();
        let blanks = &rest[..rest.len() - text.len()];
        let breaks = blanks.matches('\n').count();
        let begins_line = breaks > 0 || after_comment || (is_first && comments.is_empty());
        let blank_before = breaks > 1;
        if !text.starts_with("//") {
            return Lexeme { token, text, comments, blank_before, begins_line };
        }
        let end = text.find('\n').unwrap_or(text.len());
        let comment = text[..end].trim_end();
        comments.push(Comment { text: comment, is_trailing: !begins_line, blank_before });
        rest = &text[end..];
        after_comment = true;
    }
}

struct Reader<'a> {
    /// The next one last.
    rest: Vec<Lexeme<'a>>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&Token> {
        self.rest.last().map(|lexeme| &lexeme.token)
    }

    fn next(&mut self) -> Lexeme<'a> {
        let end = Lexeme {
            token: Token::End,
            text: "",
            comments: Vec::new(),
            blank_before: false,
            begins_line: false,
        };
        self.rest.pop().unwrap_or(end)
    }

    fn is_at_close(&self) -> bool {
        matches!(self.peek(), None | Some(Token::End | Token::Symbol(")" | "]" | "}")))
    }

    fn statements(&mut self) -> Vec<Vec<Node<'a>>> {
        let mut all = Vec::new();
        while !self.is_at_close() {
            all.push(self.statement());
        }
        all
    }

    fn statement(&mut self) -> Vec<Node<'a>> {
        let mut nodes = Vec::new();
        while !self.is_at_close() {
            let node = self.node(&nodes, true);
            nodes.push(node);
            if self.is_ended(&nodes) {
                break;
            }
        }
        nodes
    }

    fn is_ended(&self, nodes: &[Node<'a>]) -> bool {
        let begins_function = nodes.len() == 4 && nodes[0].is_keyword(Keyword::Fn);
        match nodes.last() {
            Some(Node::Block { is_function, .. }) => {
                (begins_function || !is_function) && self.peek() != Some(&Token::Keyword(Keyword::Else))
            }
            Some(node) => node.is_symbol(";"),
            None => false,
        }
    }

    /// Items between commas.
    fn items(&mut self) -> Vec<Vec<Node<'a>>> {
        let mut all = Vec::new();
        while !self.is_at_close() {
            let mut nodes = Vec::new();
            while !self.is_at_close() && self.peek() != Some(&Token::Symbol(",")) {
                let node = self.node(&nodes, false);
                nodes.push(node);
            }
            if self.peek() == Some(&Token::Symbol(",")) {
                let comma = self.next();
                // A comment before the comma belongs to the item.
                if !comma.comments.is_empty() {
                    nodes.push(Node::Leaf(Lexeme { text: "", ..comma }));
                }
            }
            all.push(nodes);
        }
        all
    }

    /// The next node, after others of the same statement or item.
    fn node(&mut self, before: &[Node<'a>], in_statement: bool) -> Node<'a> {
        let after_operand = before.last().is_some_and(Node::is_operand);
        let kind = match self.peek() {
            Some(Token::Symbol("(")) if after_operand || is_fn(before.last()) => Kind::Call,
            Some(Token::Symbol("(")) => Kind::Parentheses,
            Some(Token::Symbol("[")) if after_operand => Kind::Index,
            Some(Token::Symbol("[")) => Kind::ListOrMap,
            Some(Token::Symbol("{")) => {
                let begins = before.is_empty() && in_statement;
                let is_block = begins || after_operand || before.last().is_some_and(is_else);
                if is_block {
                    return self.block(before);
                }
                Kind::Record
            }
            _ => return Node::Leaf(self.next()),
        };
        let open = self.next();
        let items = self.items();
        Node::Group { kind, open, items, close: self.next() }
    }

    fn block(&mut self, before: &[Node<'a>]) -> Node<'a> {
        let is_function = match before {
            [.., function, Node::Group { kind: Kind::Call, .. }] if is_fn(Some(function)) => true,
            [function, _, Node::Group { kind: Kind::Call, .. }] => is_fn(Some(function)),
            _ => false,
        };
        let open = self.next();
        let statements = self.statements();
        Node::Block { is_function, open, statements, close: self.next() }
    }
}

fn is_fn(node: Option<&Node<'_>>) -> bool {
    node.is_some_and(|node| node.is_keyword(Keyword::Fn))
}

fn is_else(node: &Node<'_>) -> bool {
    node.is_keyword(Keyword::Else)
}
