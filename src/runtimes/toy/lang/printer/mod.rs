//! Source text in its one form: the same program as people should see it.
//!
//! Four spaces a level, one statement a line, lines of at most 100 columns where they can be broken.
//! Comments stay, and so do single blank lines between statements. Two choices are the writer's: a
//! record whose first field begins a line stays broken, and a function of one plain statement that
//! stands on one line stays there.

mod document;
mod layout;
#[cfg(test)]
mod tests;
mod tree;

use super::diagnostic::{Diagnostic, Position};
use super::lexer::Token;
use super::parser::parse;

/// Prints the program again. Errors: it does not parse.
pub(crate) fn print(source: &str) -> Result<String, Diagnostic> {
    parse(source)?;
    let (statements, end) = tree::read(source)?;
    let printed = layout::file(&statements, &end).render();
    if meaning(source)? != meaning(&printed)? {
        let message = "printing would change the program; please report this";
        return Err(Diagnostic::new(Position::start_of(0), message));
    }
    Ok(printed)
}

/// All tokens but the commas, of which the last one of a list may come and go.
fn meaning(source: &str) -> Result<Vec<Token>, Diagnostic> {
    let tokens = tree::lexemes(source)?.into_iter().map(|lexeme| lexeme.token);
    Ok(tokens.filter(|token| *token != Token::Symbol(",")).collect())
}
