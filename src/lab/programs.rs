//! The programs of a matrix: files, or the workloads that the binary carries along.

use crate::error::{Context, Error, Result};
use include_dir::{Dir, include_dir};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The built-in toy workloads, so that the laboratory needs no checkout.
static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/workloads/toy");

/// One program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramFile {
    /// Its name in the matrix: that of its file, without the ending.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// How a person would name it on a command line.
    pub shown: String,
}

/// Programs, and the folder that holds the built-in ones as long as it lives.
#[derive(Debug)]
pub struct Programs {
    /// In the order they were asked for.
    pub files: Vec<ProgramFile>,
    _unpacked: TempDir,
}

impl Programs {
    /// The programs of these names: built-in ones, or paths of `.toy` files. No name means all built-in ones.
    pub fn choose(names: &[String]) -> Result<Self> {
        let unpacked = tempfile::tempdir().doing("cannot make a temporary folder")?;
        BUILT_IN.extract(unpacked.path()).at("cannot unpack the workloads", unpacked.path())?;
        let known = built_in();
        let names = if names.is_empty() { &known } else { names };
        let files =
            names.iter().map(|name| find(name, &known, unpacked.path())).collect::<Result<Vec<_>>>()?;
        for (index, file) in files.iter().enumerate() {
            if files[..index].iter().any(|other| other.name == file.name) {
                return Err(Error::new(format!("two programs are called '{}'", file.name))
                    .why("a row of the matrix is known by its program's name")
                    .fix("rename one of the files, or name it once"));
            }
        }
        Ok(Self { files, _unpacked: unpacked })
    }
}

/// Names of the built-in programs, in order. Files that others import have no steps and are left out.
fn built_in() -> Vec<String> {
    let has_steps = |file: &&include_dir::File<'_>| {
        let text = file.contents_utf8().unwrap_or_default();
        text.lines().any(|line| line.starts_with("step "))
    };
    let programs =
        BUILT_IN.files().filter(|file| file.path().extension().is_some_and(|ending| ending == "toy"));
    let mut names: Vec<String> = programs.filter(has_steps).map(|file| stem(file.path())).collect();
    names.sort();
    names
}

fn find(name: &str, known: &[String], unpacked: &Path) -> Result<ProgramFile> {
    if known.iter().any(|known| known == name) {
        let file = format!("{name}.toy");
        let shown = format!("workloads/toy/{file}");
        return Ok(ProgramFile { name: name.to_owned(), path: unpacked.join(file), shown });
    }
    let path = PathBuf::from(name);
    let refuse = |why: &str| {
        Err(Error::new("there is no such program")
            .path(&path)
            .why(why)
            .fix(format!("name a .toy file, or one of {}", known.join(", "))))
    };
    if path.extension().is_none_or(|ending| ending != "toy") {
        return refuse("it is neither built in nor a .toy file");
    }
    if !path.is_file() {
        return refuse("there is no such file");
    }
    Ok(ProgramFile { name: stem(&path), shown: path.display().to_string(), path })
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_program_is_there_and_others_are_refused() {
        let all = Programs::choose(&[]).unwrap();
        assert!(all.files.len() >= 5 && all.files.iter().all(|file| file.path.is_file()));
        let one = Programs::choose(&["gc_marks".to_owned()]).unwrap();
        assert_eq!(one.files[0].shown, "workloads/toy/gc_marks.toy");
        let refused = Programs::choose(&["gc_mark".to_owned()]).unwrap_err().to_string();
        assert!(refused.contains("gc_marks") && refused.contains("neither"), "{refused}");
        let twice = Programs::choose(&["mutate".to_owned(), "mutate".to_owned()]).unwrap_err();
        assert!(twice.to_string().contains("two programs"), "{twice}");
    }
}
