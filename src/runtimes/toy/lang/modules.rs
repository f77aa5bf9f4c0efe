//! Programs of several files: reads what a file imports, once each, and in an order to compile it in.

use super::ast::{Import, Item, Module};
use super::diagnostic::{Diagnostic, Position, Sources};
use super::parser::parse_file;
use crate::runtimes::toy::library;
use std::path::{Path, PathBuf};

/// Longest chain of imports.
const CHAIN_LIMIT: usize = 64;

/// One file of a program.
pub(crate) struct Unit {
    pub(crate) module: Module,
    /// The unit of each of its imports, in the order they stand there.
    pub(crate) imports: Vec<usize>,
}

/// What an import leads to. Two of the same origin are the same module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Library(&'static str),
    File(PathBuf),
}

/// Reads the modules of one program.
#[derive(Default)]
pub(crate) struct Loader {
    pub(crate) sources: Sources,
    /// Read so far, imported ones before those that import them.
    pub(crate) units: Vec<Unit>,
    /// Where each unit came from; nothing for the file that is run, unless it was read from disk.
    pub(super) origins: Vec<Option<Origin>>,
    /// The modules being read, each imported by the one before it.
    chain: Vec<(Option<Origin>, String)>,
}

impl Loader {
    /// Reads a program whose main file has the name and the text. `file` says where it lies, so that
    /// it may import its neighbours.
    pub(crate) fn main(&mut self, name: &str, source: &str, file: Option<&Path>) -> Result<(), Diagnostic> {
        let origin = file.and_then(|file| file.canonicalize().ok()).map(Origin::File);
        let folder = file.and_then(Path::parent).map(Path::to_owned);
        self.read(name.to_owned(), source, (origin, folder), Position::start_of(0)).map(drop)
    }

    /// Reads what the imports lead to; gives the unit of each.
    pub(crate) fn imports(
        &mut self,
        module: &Module,
        folder: Option<&Path>,
    ) -> Result<Vec<usize>, Diagnostic> {
        let imports = module.items.iter().filter_map(|item| match item {
            Item::Import(import) => Some(import),
            _ => None,
        });
        imports.map(|import| self.import(import, folder)).collect()
    }

    /// Forgets the units from this one on, which were read for nothing.
    pub(super) fn forget_from(&mut self, unit: usize) {
        self.units.truncate(unit);
        self.origins.truncate(unit);
        self.chain.clear();
    }

    /// Reads one file; says where it came from, and where its own imports are looked for.
    fn read(
        &mut self,
        name: String,
        source: &str,
        (origin, folder): (Option<Origin>, Option<PathBuf>),
        at: Position,
    ) -> Result<usize, Diagnostic> {
        let number = self.sources.add(&name);
        let number = number.ok_or_else(|| Diagnostic::new(at, "the program has too many files"))?;
        let module = parse_file(source, number)?;
        self.chain.push((origin.clone(), name));
        let imports = self.imports(&module, folder.as_deref())?;
        self.chain.pop();
        self.units.push(Unit { module, imports });
        self.origins.push(origin);
        Ok(self.units.len() - 1)
    }

    fn import(&mut self, import: &Import, folder: Option<&Path>) -> Result<usize, Diagnostic> {
        let refuse = |why: String| Diagnostic::new(import.at, why);
        let (origin, name) = find(&import.path, folder).map_err(refuse)?;
        if let Some(unit) = self.origins.iter().position(|known| known.as_ref() == Some(&origin)) {
            return Ok(unit);
        }
        if let Some(first) = self.chain.iter().position(|(known, _)| known.as_ref() == Some(&origin)) {
            let round = self.chain[first..].iter().map(|(_, name)| name.as_str());
            let round: Vec<&str> = round.chain([self.chain[first].1.as_str()]).collect();
            return Err(refuse(format!("the imports go in a circle: {}", round.join(" imports "))));
        }
        if self.chain.len() >= CHAIN_LIMIT {
            return Err(refuse(format!("more than {CHAIN_LIMIT} files import each other in a row")));
        }
        let (source, folder) = match &origin {
            Origin::Library(name) => (library::source(name).unwrap_or_default().to_owned(), None),
            Origin::File(path) => {
                let read = std::fs::read_to_string(path);
                let source = read.map_err(|why| refuse(format!("cannot read '{name}': {why}")))?;
                (source, Path::new(&name).parent().map(Path::to_owned))
            }
        };
        self.read(name, &source, (Some(origin), folder), import.at)
    }
}

/// Where the path of an import leads, and how to call it.
fn find(path: &str, folder: Option<&Path>) -> Result<(Origin, String), String> {
    let is_file = path.contains('/') || Path::new(path).extension().is_some_and(|ending| ending == "toy");
    if !is_file {
        let known = library::NAMES.iter().find(|(name, _)| *name == path);
        return known.map(|(name, _)| (Origin::Library(name), format!("library/{name}.toy"))).ok_or_else(
            || {
                let names: Vec<&str> = library::NAMES.iter().map(|(name, _)| *name).collect();
                format!(
                    "the library has no '{path}', only {}; the name of a file ends in .toy",
                    names.join(", ")
                )
            },
        );
    }
    let Some(folder) = folder else {
        return Err(format!("'{path}' cannot be found: this program is not in a folder"));
    };
    let file = folder.join(path);
    let found = file.canonicalize().map_err(|why| format!("cannot read '{}': {why}", file.display()))?;
    Ok((Origin::File(found), file.display().to_string()))
}
