//! Source text to tokens, one at a time.

use super::diagnostic::{Diagnostic, Position};
use std::fmt;
use std::rc::Rc;

/// What one token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Name(Rc<str>),
    Int(i64),
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
        let at = self.at;
        let digits = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        let plain = digits.replace('_', "");
        if plain.chars().any(|c| !c.is_ascii_digit()) {
            return Err(Diagnostic::new(at, "a number has only digits and '_'"));
        }
        plain
            .parse()
            .map(Token::Int)
            .map_err(|_| Diagnostic::new(at, format!("the number is too large; the largest is {}", i64::MAX)))
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
        let Some(symbol) = SYMBOLS.into_iter().find(|symbol| self.rest.starts_with(symbol)) else {
            return Err(Diagnostic::new(self.at, format!("unexpected character {first:?}")));
        };
        for _ in 0..symbol.len() {
            self.advance();
        }
        Ok(Token::Symbol(symbol))
    }
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
    fn errors_point_at_the_character() {
        for (source, at, message) in [
            ("ab\n  ?", "2:3", "unexpected character '?'"),
            ("  \"abc", "1:3", "the string has no closing '\"'"),
            ("\"a\\q\"", "1:3", "unknown escape; the known ones are \\n, \\t, \\\" and \\\\"),
            ("12ab", "1:1", "a number has only digits and '_'"),
            ("9223372036854775808", "1:1", "the number is too large; the largest is 9223372036854775807"),
        ] {
            assert_eq!(tokens(source).unwrap_err().to_string(), format!("{at}: {message}"));
        }
    }
}
