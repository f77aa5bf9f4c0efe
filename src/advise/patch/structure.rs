//! What a Python source binds at module level, as Python itself parses it.

use crate::error::{Context, Error, Result};
use crate::kernel::spawn::ProcessGroup;
use serde::Deserialize;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Tells where names are bound; see the file.
const SCRIPT: &str = include_str!("structure.py");

/// Parsing takes milliseconds; an interpreter that has not answered after this long never will.
const DEADLINE: Duration = Duration::from_secs(60);

/// The names of a source and where they are bound.
#[derive(Debug, Clone, Deserialize)]
pub struct Structure {
    /// Why it is no Python source.
    pub error: Option<String>,
    /// What is bound at module level, in order.
    bindings: Vec<Binding>,
}

/// One name that a statement at module level binds.
#[derive(Debug, Clone, Deserialize)]
pub struct Binding {
    name: String,
    /// In which way.
    #[serde(flatten)]
    pub how: How,
}

/// How a name is bound.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum How {
    /// `name = value`.
    Assignment {
        /// First line and column of the value, last line and the column behind it; lines count from
        /// 1, columns are bytes.
        value: (usize, usize, usize, usize),
    },
    /// `def name(…):` at module level.
    Function {
        /// Its last line.
        last: usize,
        /// What stands before its statements; nothing where they begin on the line of `def`.
        indent: Option<String>,
        /// Names of its parameters, where it is a plain function.
        parameters: Option<Vec<String>>,
        /// Whether it may end before its last line.
        leaves_early: bool,
    },
    /// In another way.
    Other {
        /// Whether the statement always binds it.
        certain: bool,
    },
}

impl Structure {
    /// Has an interpreter parse a source.
    pub fn of(text: &str, python: &Path) -> Result<Self> {
        const WHAT: &str = "cannot read a Python source's structure";
        let file = || tempfile::tempfile().doing("cannot create a temporary file");
        let (mut input, mut output, mut errors) = (file()?, file()?, file()?);
        input.write_all(text.as_bytes()).and_then(|()| input.rewind()).doing(WHAT)?;
        let share = |file: &File| file.try_clone().doing("cannot share a temporary file");
        let mut command = Command::new(python);
        command.args(["-I", "-c", SCRIPT]).stdin(Stdio::from(input));
        command.stdout(share(&output)?).stderr(share(&errors)?);
        let mut group = ProcessGroup::spawn(command, Vec::new())
            .map_err(|error| error.fix("name an interpreter: --python PATH"))?;
        let status = group.wait_until(Instant::now() + DEADLINE);
        if status.is_none_or(|status| !status.success()) {
            let why = read_back(&mut errors).unwrap_or_default();
            return Err(Error::new(WHAT).location(python.display().to_string()).why(why.trim()));
        }
        let answer = read_back(&mut output).doing(WHAT)?;
        serde_json::from_str(&answer).doing(WHAT)
    }

    /// The ways in which a name is bound, in order.
    pub fn of_name<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a How> {
        self.bindings.iter().filter(move |binding| binding.name == name).map(|binding| &binding.how)
    }

    /// Whether names are bound that cannot be seen: `from module import *`.
    pub fn has_star_import(&self) -> bool {
        self.of_name("*").next().is_some()
    }

    /// A name that nothing binds, like the one wanted.
    pub fn unused(&self, wanted: &str) -> String {
        let numbered = (2..).map(|number| format!("{wanted}_{number}"));
        let mut candidates = std::iter::once(wanted.to_owned()).chain(numbered);
        let free = candidates.find(|name| self.of_name(name).next().is_none());
        free.unwrap_or_else(|| wanted.to_owned())
    }
}

fn read_back(file: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
