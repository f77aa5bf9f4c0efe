//! What is wrong with a program, and where.

use std::fmt;
use std::rc::Rc;

/// A place in the source: line and column, both from 1. Columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Which of the program's files, as [`Sources`] numbers them.
    pub(crate) file: u16,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Position {
    /// The first character of a file.
    pub(crate) const fn start_of(file: u16) -> Self {
        Self { file, line: 1, column: 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One syntax or runtime error of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(crate) at: Position,
    pub(crate) message: String,
}

impl Diagnostic {
    pub(crate) fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

/// The names of a program's files, in the order they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    names: Vec<Rc<str>>,
}

impl Sources {
    /// Numbers one more file; nothing when there are too many.
    pub(crate) fn add(&mut self, name: &str) -> Option<u16> {
        let number = u16::try_from(self.names.len()).ok()?;
        self.names.push(name.into());
        Some(number)
    }

    pub(crate) fn name(&self, file: u16) -> &str {
        self.names.get(usize::from(file)).map_or("?", |name| name)
    }

    /// `file:line:column`.
    pub(crate) fn place(&self, at: Position) -> String {
        format!("{}:{at}", self.name(at.file))
    }
}
