//! The concrete syntax tree as a document: spaces, indentation, and where lines may be broken.

use super::document::Doc;
use super::tree::{Comment, Kind, Lexeme, Node};
use crate::runtimes::toy::lang::lexer::{Keyword, Token};

/// The statements of a file, and the comments before its end.
pub(super) fn file(statements: &[Vec<Node<'_>>], end: &Lexeme<'_>) -> Doc {
    Body { doc: Vec::new(), is_first: true, at_top: true }.fill(statements, end)
}

/// Statements on lines of their own.
struct Body {
    doc: Vec<Doc>,
    is_first: bool,
    /// At the top of a file, the first line has begun already.
    at_top: bool,
}

impl Body {
    fn fill(mut self, statements: &[Vec<Node<'_>>], close: &Lexeme<'_>) -> Doc {
        for nodes in statements {
            let Some(first) = nodes.first().map(Node::first) else { continue };
            first.comments.iter().for_each(|comment| self.comment(comment, comment.blank_before));
            // A comment from inside the statement takes the line before it, and its blank line.
            let mut blank_before = first.blank_before;
            for comment in moved_comments(nodes) {
                self.begin_line(std::mem::take(&mut blank_before));
                self.doc.push(Doc::Comment(comment.text.to_owned()));
            }
            self.begin_line(blank_before);
            self.doc.push(statement(nodes));
        }
        close.comments.iter().for_each(|comment| self.comment(comment, comment.blank_before));
        Doc::Concat(self.doc)
    }

    fn begin_line(&mut self, blank_before: bool) {
        if !(self.is_first && self.at_top) {
            self.doc.push(Doc::Hard);
        }
        if blank_before && !self.is_first {
            self.doc.push(Doc::Hard);
        }
        self.is_first = false;
    }

    fn comment(&mut self, comment: &Comment<'_>, blank_before: bool) {
        if comment.is_trailing {
            self.doc.push(Doc::Comment(format!(" {}", comment.text)));
        } else {
            self.begin_line(blank_before);
            self.doc.push(Doc::Comment(comment.text.to_owned()));
        }
    }
}

/// Comments between the tokens of a statement or an item, which have no place of their own there.
fn moved_comments<'n, 'a>(nodes: &'n [Node<'a>]) -> Vec<&'n Comment<'a>> {
    let inner = nodes.iter().skip(1).flat_map(|node| &node.first().comments);
    let only_item = nodes.iter().filter_map(|node| match node {
        Node::Group { kind: Kind::Index | Kind::Parentheses, items, close, .. } => Some((items, close)),
        _ => None,
    });
    let inside = only_item.flat_map(|(items, close)| {
        let items = items.iter().flat_map(|item| {
            item.first().map(|node| &node.first().comments).into_iter().flatten().chain(moved_comments(item))
        });
        items.chain(&close.comments)
    });
    inner.chain(inside).collect()
}

fn statement(nodes: &[Node<'_>]) -> Doc {
    let is_body = |node: &Node<'_>| matches!(node, Node::Block { is_function: false, .. });
    let mut doc = Vec::new();
    let mut rest = nodes;
    while let Some(end) = rest.iter().position(is_body) {
        if end > 0 {
            doc.push(head(&rest[..end]));
            doc.push(Doc::text(" "));
        }
        doc.push(node(&rest[end]));
        rest = &rest[end + 1..];
        if !rest.is_empty() {
            doc.push(Doc::text(" "));
        }
    }
    let (rest, semicolon) = match rest {
        [rest @ .., last] if last.is_symbol(";") => (rest, ";"),
        _ => (rest, ""),
    };
    if !rest.is_empty() {
        doc.push(head(rest));
    }
    doc.push(Doc::text(semicolon));
    Doc::Concat(doc)
}

/// A statement without its blocks and its semicolon: an assignment, an assertion, or an expression.
fn head(nodes: &[Node<'_>]) -> Doc {
    if let Some(equals) = nodes.iter().position(|node| node.is_symbol("=")) {
        let (target, value) = (&nodes[..equals], &nodes[equals + 1..]);
        return Doc::Concat(vec![expression(target), Doc::text(" = "), expression(value)]);
    }
    if let Some(comma) = nodes.iter().position(|node| node.is_symbol(",")) {
        let (condition, message) = (&nodes[..comma], &nodes[comma + 1..]);
        let message = Doc::nest(Doc::Concat(vec![Doc::Line, expression(message)]));
        return Doc::group(Doc::Concat(vec![expression(condition), Doc::text(","), message]));
    }
    expression(nodes)
}

/// Breaks lines before the operators that bind least.
fn expression(nodes: &[Node<'_>]) -> Doc {
    let strengths: Vec<Option<u8>> = (0..nodes.len()).map(|index| infix_strength(nodes, index)).collect();
    let Some(weakest) = strengths.iter().flatten().min().copied() else { return side_by_side(nodes) };
    let (mut first, mut rest, mut start) = (None, Vec::new(), 0);
    let mut end_part = |start: usize, end: usize, rest: &mut Vec<Doc>| {
        let part = expression(&nodes[start..end]);
        if first.is_none() { first = Some(part) } else { rest.push(part) }
    };
    for (index, strength) in strengths.iter().enumerate() {
        if *strength == Some(weakest) {
            end_part(start, index, &mut rest);
            rest.extend([Doc::Line, node(&nodes[index]), Doc::text(" ")]);
            start = index + 1;
        }
    }
    end_part(start, nodes.len(), &mut rest);
    let first = first.unwrap_or(Doc::Concat(Vec::new()));
    Doc::group(Doc::Concat(vec![first, Doc::nest(Doc::Concat(rest))]))
}

/// How strongly the node binds, if it is an operator between two operands.
fn infix_strength(nodes: &[Node<'_>], index: usize) -> Option<u8> {
    let Node::Leaf(lexeme) = &nodes[index] else { return None };
    if index == 0 || !nodes[index - 1].is_operand() {
        return None;
    }
    match lexeme.token {
        Token::Keyword(Keyword::Or) => Some(1),
        Token::Keyword(Keyword::And) => Some(2),
        Token::Symbol("==" | "!=") => Some(3),
        Token::Symbol("<" | "<=" | ">" | ">=") => Some(4),
        Token::Symbol("+" | "-") => Some(5),
        Token::Symbol("*" | "/" | "%") => Some(6),
        _ => None,
    }
}

fn side_by_side(nodes: &[Node<'_>]) -> Doc {
    let mut doc = Vec::new();
    for (index, found) in nodes.iter().enumerate() {
        if index > 0 && needs_space(&nodes[..index], found) {
            doc.push(Doc::text(" "));
        }
        doc.push(node(found));
    }
    Doc::Concat(doc)
}

fn needs_space(before: &[Node<'_>], next: &Node<'_>) -> bool {
    let Some(last) = before.last() else { return false };
    let is_tight = |node: &Node<'_>| [".", ".."].iter().any(|symbol| node.is_symbol(symbol));
    let is_unary_minus = last.is_symbol("-") && !before.iter().rev().nth(1).is_some_and(Node::is_operand);
    let is_applied = matches!(next, Node::Group { kind: Kind::Call | Kind::Index, .. });
    let is_empty = next.first().text.is_empty();
    !(is_tight(last) || is_tight(next) || is_unary_minus || is_applied || is_empty || next.is_symbol(":"))
}

fn node(node: &Node<'_>) -> Doc {
    match node {
        Node::Leaf(lexeme) => Doc::text(lexeme.text),
        Node::Group { kind, open, items, close } => group(*kind, open, items, close),
        Node::Block { is_function, statements, close, .. } => block(*is_function, statements, close),
    }
}

fn block(is_function: bool, statements: &[Vec<Node<'_>>], close: &Lexeme<'_>) -> Doc {
    if statements.is_empty() && close.comments.is_empty() {
        return Doc::text("{}");
    }
    if is_function && let Some(line) = one_line(statements, close) {
        return line;
    }
    let inner = Body { doc: Vec::new(), is_first: true, at_top: false }.fill(statements, close);
    Doc::Concat(vec![Doc::text("{"), Doc::nest(inner), Doc::Hard, Doc::text("}")])
}

/// The body of a function of one plain statement, if the source has it on one line and it fits there.
fn one_line(statements: &[Vec<Node<'_>>], close: &Lexeme<'_>) -> Option<Doc> {
    let [nodes] = statements else { return None };
    let first = nodes.first()?.first();
    let is_plain = !first.begins_line
        && first.comments.is_empty()
        && close.comments.is_empty()
        && moved_comments(nodes).is_empty();
    let doc = statement(nodes);
    if !is_plain || doc.has_new_line() {
        return None;
    }
    let inner = Doc::nest(Doc::Concat(vec![Doc::Line, doc]));
    Some(Doc::group(Doc::Concat(vec![Doc::text("{"), inner, Doc::Line, Doc::text("}")])))
}

fn group(kind: Kind, open: &Lexeme<'_>, items: &[Vec<Node<'_>>], close: &Lexeme<'_>) -> Doc {
    let (open_text, close_text) = (Doc::text(open.text), Doc::text(close.text));
    if matches!(kind, Kind::Index | Kind::Parentheses) {
        let inner = items.first().map_or_else(|| Doc::text(""), |item| expression(item));
        return Doc::Concat(vec![open_text, inner, close_text]);
    }
    if hugs(kind, items, close) {
        let mut doc = vec![open_text];
        for (index, item) in items.iter().enumerate() {
            doc.push(Doc::text(if index > 0 { ", " } else { "" }));
            doc.push(expression(item));
        }
        doc.push(close_text);
        return Doc::Concat(doc);
    }
    let has_comments = has_comments(items, close);
    let mut inner = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some(first) = item.first().map(Node::first) else { continue };
        first.comments.iter().for_each(|found| item_comment(&mut inner, found));
        for found in moved_comments(item) {
            inner.extend([Doc::Hard, Doc::Comment(found.text.to_owned())]);
        }
        inner.push(if index == 0 { Doc::Soft } else { Doc::Line });
        inner.push(expression(item));
        let is_last = index + 1 == items.len();
        let is_empty_map = is_last && item.len() == 1 && item[0].is_symbol(":");
        match (is_last, is_empty_map) {
            (false, _) => inner.push(Doc::text(",")),
            (true, false) => inner.push(Doc::IfBroken(",")),
            (true, true) => {}
        }
    }
    close.comments.iter().for_each(|found| item_comment(&mut inner, found));
    if inner.is_empty() {
        return Doc::Concat(vec![open_text, close_text]);
    }
    let begins_line =
        items.first().and_then(|item| item.first()).is_some_and(|node| node.first().begins_line);
    let doc = Doc::Concat(vec![open_text, Doc::nest(Doc::Concat(inner)), Doc::Soft, close_text]);
    if has_comments || (kind == Kind::Record && begins_line) {
        Doc::broken_group(doc)
    } else {
        Doc::group(doc)
    }
}

/// Whether the arguments stay on the line of their call because only the last one, a function, is long.
fn hugs(kind: Kind, items: &[Vec<Node<'_>>], close: &Lexeme<'_>) -> bool {
    let Some((last, others)) = items.split_last() else { return false };
    kind == Kind::Call
        && !has_comments(items, close)
        && matches!(last.last(), Some(Node::Block { .. }))
        && expression(last).has_new_line()
        && !others.iter().any(|item| expression(item).has_new_line())
}

fn has_comments(items: &[Vec<Node<'_>>], close: &Lexeme<'_>) -> bool {
    let in_item = |item: &Vec<Node<'_>>| {
        item.first().is_some_and(|node| !node.first().comments.is_empty()) || !moved_comments(item).is_empty()
    };
    !close.comments.is_empty() || items.iter().any(in_item)
}

/// A comment between items, behind the last one or on a line of its own.
fn item_comment(doc: &mut Vec<Doc>, comment: &Comment<'_>) {
    if comment.is_trailing {
        doc.push(Doc::Comment(format!(" {}", comment.text)));
    } else {
        doc.extend([Doc::Hard, Doc::Comment(comment.text.to_owned())]);
    }
}
