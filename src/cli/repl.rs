//! A conversation with the toy runtime: read an entry, run it, print its value, and again.

use super::report;
use crate::error::{Context, EXIT_FAILED, EXIT_OK, Error, Result};
use crate::runtimes::toy::{ToyOptions, ToySession};
use crate::units::Bytes;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::io::{BufRead, IsTerminal, StdinLock};
use std::path::PathBuf;

const HELP: &str = "Type statements and expressions of the toy language; docs/toy.md describes it.
An entry goes on over the next lines until its brackets are closed.
Ctrl-C throws it away; while an entry runs, Ctrl-C ends the conversation.

  :help               this
  :quit               the end, as Ctrl-D
  :disassemble NAME   the bytecode of a function
  :regions            the runtime's memory, by name
  :gc                 collect garbage, and count what is alive";

/// Where entries come from.
enum Input {
    Terminal(Box<DefaultEditor>),
    /// No terminal: lines without a prompt.
    Piped(StdinLock<'static>),
}

/// Talks until the input ends. Without a terminal, the exit code tells whether every entry ran.
pub fn run(options: &ToyOptions) -> Result<i32> {
    // Imports are looked for in the current folder.
    let folder = Some(PathBuf::new());
    let mut session = ToySession::new(options, folder, Box::new(std::io::stdout()))?;
    let mut input = Input::open()?;
    if input.is_terminal() {
        println!("The toy language of forkprint {}. :help tells more.", env!("CARGO_PKG_VERSION"));
    }
    let mut failed = false;
    while let Some(entry) = input.entry()? {
        let outcome = match entry.trim().strip_prefix(':') {
            Some("quit" | "q") => break,
            Some(command) => obey(&mut session, command),
            None if entry.trim().is_empty() => continue,
            None => session.enter(&entry),
        };
        match outcome {
            Ok(Some(shown)) => println!("{shown}"),
            Ok(None) => {}
            Err(error) => {
                failed = true;
                report(&error);
            }
        }
    }
    Ok(if failed && !input.is_terminal() { EXIT_FAILED } else { EXIT_OK })
}

fn obey(session: &mut ToySession, command: &str) -> Result<Option<String>> {
    let (word, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    match (word, argument.trim()) {
        ("help", "") => Ok(Some(HELP.to_owned())),
        ("disassemble", name) if !name.is_empty() => {
            let listings = session.disassemble(name);
            let Some(last) = listings.first() else {
                return Err(Error::new(format!("there is no function '{name}'")));
            };
            Ok(Some(last.trim_end().to_owned()))
        }
        ("regions", "") => {
            let lines = session.regions().into_iter().map(|region| {
                let size = Bytes(region.end - region.start);
                format!(
                    "{:#014x}–{:#014x}  {:>9}  {}",
                    region.start,
                    region.end,
                    size.to_string(),
                    region.name
                )
            });
            Ok(Some(lines.collect::<Vec<_>>().join("\n")))
        }
        ("gc", "") => {
            let (objects, bytes) = session.collect()?;
            Ok(Some(format!("{objects} objects alive, {}", Bytes(bytes))))
        }
        _ => Err(Error::new(format!("there is no command ':{command}'")).fix(":help lists them")),
    }
}

/// What came of asking for a line.
enum Line {
    Text(String),
    /// Ctrl-C: the entry is thrown away.
    Abandoned,
    End,
}

impl Input {
    fn open() -> Result<Self> {
        if !std::io::stdin().is_terminal() {
            return Ok(Self::Piped(std::io::stdin().lock()));
        }
        let editor = DefaultEditor::new().map_err(|why| Error::new("cannot use the terminal").why(why))?;
        Ok(Self::Terminal(Box::new(editor)))
    }

    fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// The next entry, which ends when its brackets are closed or the input is.
    fn entry(&mut self) -> Result<Option<String>> {
        let mut entry = match self.line("toy> ")? {
            Line::Text(line) => line,
            Line::Abandoned => String::new(),
            Line::End => return Ok(None),
        };
        while ToySession::is_unfinished(&entry) {
            match self.line("...> ")? {
                Line::Text(line) => {
                    entry.push('\n');
                    entry.push_str(&line);
                }
                Line::Abandoned => return Ok(Some(String::new())),
                Line::End => break,
            }
        }
        if let Self::Terminal(editor) = self {
            let _forgotten = editor.add_history_entry(entry.as_str());
        }
        Ok(Some(entry))
    }

    fn line(&mut self, prompt: &str) -> Result<Line> {
        match self {
            Self::Terminal(editor) => match editor.readline(prompt) {
                Ok(line) => Ok(Line::Text(line)),
                Err(ReadlineError::Interrupted) => Ok(Line::Abandoned),
                Err(ReadlineError::Eof) => Ok(Line::End),
                Err(why) => Err(Error::new("cannot read from the terminal").why(why)),
            },
            Self::Piped(lines) => {
                let mut line = String::new();
                let bytes = lines.read_line(&mut line).doing("cannot read the standard input")?;
                line.truncate(line.trim_end_matches('\n').len());
                Ok(if bytes > 0 { Line::Text(line) } else { Line::End })
            }
        }
    }
}
