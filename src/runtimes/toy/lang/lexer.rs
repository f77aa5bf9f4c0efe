//! Source text to tokens, one at a time.

use super::diagnostic::{Diagnostic, Position};
use std::fmt;
use std::rc::Rc;

/// What one token is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Name(Rc<str>),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    Keyword(Keyword),
    Symbol(&'static str),
    End,
}

/// The reserved words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyword {
    And,
    Assert,
    Break,
    Continue,
    Else,
    False,
    Fn,
    For,
    If,
    Import,
    In,
    Let,
    Nil,
    Not,
    Or,
    Return,
    Step,
    True,
    While,
}

const KEYWORDS: [(&str, Keyword); 19] = [
    ("and", Keyword::And),
    ("assert", Keyword::Assert),
    ("break", Keyword::Break),
    ("continue", Keyword::Continue),
    ("else", Keyword::Else),
    ("false", Keyword::False),
    ("fn", Keyword::Fn),
    ("for", Keyword::For),
    ("if", Keyword::If),
    ("import", Keyword::Import),
    ("in", Keyword::In),
    ("let", Keyword::Let),
    ("nil", Keyword::Nil),
    ("not", Keyword::Not),
    ("or", Keyword::Or),
    ("return", Keyword::Return),
    ("step", Keyword::Step),
    ("true", Keyword::True),
    ("while", Keyword::While),
];

/// Longer symbols stand before their prefixes.
const SYMBOLS: [&str; 23] = [
    "==", "!=", "<=", ">=", "..", "(", ")", "[", "]", "{", "}", ",", ";", ":", ".", "=", "<", ">", "+", "-",
    "*", "/", "%",
];

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "'{name}'"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(_) => f.write_str("a string"),
            Self::Keyword(word) => {
                let spelled = KEYWORDS.iter().find(|(_, known)| known == word).map_or("", |(text, _)| text);
                write!(f, "'{spelled}'")
            }
            Self::Symbol(symbol) => write!(f, "'{symbol}'"),
            Self::End => f.write_str("the end of the file"),
        }
    }
}

/// Reads tokens off a source text.
pub(crate) struct Lexer<'a> {
    rest: &'a str,
    at: Position,
}

impl<'a> Lexer<'a> {
    /// Begins at the start of a file, which [`Sources`](super::diagnostic::Sources) has numbered.
    pub(crate) fn new(source: &'a str, file: u16) -> Self {
        Self { rest: source, at: Position::start_of(file) }
    }

    /// The next token and where it begins; [`Token::End`] for ever after the last one.
    pub(crate) fn next_token(&mut self) -> Result<(Token, Position), Diagnostic> {
        self.skip_blanks_and_comments();
        let at = self.at;
        let Some(first) = self.rest.chars().next() else { return Ok((Token::End, at)) };
        let token = match first {
            'a'..='z' | 'A'..='Z' | '_' => self.word(),
            '0'..='9' => self.number()?,
            '"' => self.text()?,
            _ => self.symbol(first)?,
        };
        Ok((token, at))
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    fn advance(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        if next == '\n' {
            self.at.line = self.at.line.saturating_add(1);
            self.at.column = 1;
        } else {
            self.at.column = self.at.column.saturating_add(1);
        }
        Some(next)
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let start = self.rest;
        while self.rest.chars().next().is_some_and(&accept) {
            self.advance();
        }
        &start[..start.len() - self.rest.len()]
    }

    fn skip_blanks_and_comments(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if !self.rest.starts_with("//") {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn word(&mut self) -> Token {
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        match KEYWORDS.iter().find(|(text, _)| *text == word) {
            Some((_, keyword)) => Token::Keyword(*keyword),
            None => Token::Name(word.into()),
        }
    }

    fn number(&mut self) -> Result<Token, Diagnostic> {
        let (at, start) = (self.at, self.rest);
        self.digits();
        let is_float = self.accept_fraction() | self.accept_exponent();
        let plain = start[..start.len() - self.rest.len()].replace('_', "");
        if self.rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(Diagnostic::new(at, "a number is written as 12, 1_000, 1.5 or 1e-9"));
        }
        let too_large = |largest: String| {
            Diagnostic::new(at, format!("the number is too large; the largest is {largest}"))
        };
        if !is_float {
            return plain.parse().map(Token::Int).map_err(|_| too_large(i64::MAX.to_string()));
        }
        match plain.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Token::Float(value)),
            _ => Err(too_large(format!("{:?}", f64::MAX))),
        }
    }

    fn digits(&mut self) {
        self.take_while(|c| c.is_ascii_digit() || c == '_');
    }

    /// A point and digits after it: `1..2` is a range, and `1.x` a field.
    fn accept_fraction(&mut self) -> bool {
        let found = self.rest.strip_prefix('.').is_some_and(begins_with_digit);
        if found {
            self.advance();
            self.digits();
        }
        found
    }

    fn accept_exponent(&mut self) -> bool {
        let Some(power) = self.rest.strip_prefix(['e', 'E']) else { return false };
        let found = begins_with_digit(power.strip_prefix(['+', '-']).unwrap_or(power));
        if found {
            self.advance();
            self.advance();
            self.digits();
        }
        found
    }

    fn text(&mut self) -> Result<Token, Diagnostic> {
        let opening = self.at;
        self.advance();
        let mut text = String::new();
        loop {
            let at = self.at;
            match self.advance() {
                None | Some('\n') => return Err(Diagnostic::new(opening, "the string has no closing '\"'")),
                Some('"') => return Ok(Token::Text(text.into())),
                Some('\\') => text.push(self.escape(at)?),
                Some(other) => text.push(other),
            }
        }
    }

    fn escape(&mut self, at: Position) -> Result<char, Diagnostic> {
        match self.advance() {
            Some('n') => Ok('\n'),
            Some('t') => Ok('\t'),
            Some('"') => Ok('"'),
            Some('\\') => Ok('\\'),
            _ => Err(Diagnostic::new(at, "unknown escape; the known ones are \\n, \\t, \\\" and \\\\")),
        }
    }

    fn symbol(&mut self, first: char) -> Result<Token, Diagnostic> {
        if self.rest.strip_prefix('.').is_some_and(begins_with_digit) {
            return Err(Diagnostic::new(self.at, "a number begins with a digit, as in 0.5"));
        }
        let Some(symbol) = SYMBOLS.into_iter().find(|symbol| self.rest.starts_with(symbol)) else {
            return Err(Diagnostic::new(self.at, format!("unexpected character {first:?}")));
        };
        for _ in 0..symbol.len() {
            self.advance();
        }
        Ok(Token::Symbol(symbol))
    }
}

fn begins_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(source: &str) -> Result<Vec<Token>, Diagnostic> {
        let mut lexer = Lexer::new(source, 0);
        let mut all = Vec::new();
        loop {
            match lexer.next_token()?.0 {
                Token::End => return Ok(all),
                token => all.push(token),
            }
        }
    }

    #[test]
    fn longest_symbol_wins_and_comments_vanish() {
        let found = tokens("a<=b // a comment\n0..10").unwrap();
        let expected = [
            Token::Name("a".into()),
            Token::Symbol("<="),
            Token::Name("b".into()),
            Token::Int(0),
            Token::Symbol(".."),
            Token::Int(10),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn floats_have_a_fraction_or_an_exponent_and_ranges_have_neither() {
        for (source, value) in [("1.5", 1.5), ("1e9", 1e9), ("1_0.2_5E-2", 0.1025), ("0.0", 0.0)] {
            assert_eq!(tokens(source).unwrap(), [Token::Float(value)]);
        }
        assert_eq!(tokens("1..2").unwrap(), [Token::Int(1), Token::Symbol(".."), Token::Int(2)]);
        assert_eq!(tokens("1.5.x").unwrap().len(), 3);
    }

    #[test]
    fn errors_point_at_the_character() {
        for (source, at, message) in [
            ("ab\n  ?", "2:3", "unexpected character '?'"),
            ("  \"abc", "1:3", "the string has no closing '\"'"),
            ("\"a\\q\"", "1:3", "unknown escape; the known ones are \\n, \\t, \\\" and \\\\"),
            ("12ab", "1:1", "a number is written as 12, 1_000, 1.5 or 1e-9"),
            ("1e", "1:1", "a number is written as 12, 1_000, 1.5 or 1e-9"),
            ("1e400", "1:1", "the number is too large; the largest is 1.7976931348623157e308"),
            ("a + .5", "1:5", "a number begins with a digit, as in 0.5"),
            ("9223372036854775808", "1:1", "the number is too large; the largest is 9223372036854775807"),
        ] {
            assert_eq!(tokens(source).unwrap_err().to_string(), format!("{at}: {message}"));
        }
    }
}
