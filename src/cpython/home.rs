//! Which installation the embedded interpreter belongs to: its `sys.prefix` and `site-packages`.

use super::version;
use pyo3::Python;
use std::path::{Path, PathBuf};

/// The Python that forkprint was built with; its library is the one linked.
const BUILT_WITH: &str = env!("FORKPRINT_PYTHON");

/// The interpreter to present to `CPython` as its own program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Home {
    /// The program, from whose place `CPython` finds its libraries. `None` leaves the search to it.
    pub executable: Option<PathBuf>,
    /// What the reader of a report must know.
    pub note: Option<String>,
}

impl Home {
    /// The active virtual environment where it fits the linked library, else the Python that
    /// forkprint was built with.
    pub fn find() -> Self {
        let linked = version::parse(Python::version_str()).unwrap_or_default();
        let environment = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
        Self::choose(environment.as_deref(), Path::new(BUILT_WITH), linked)
    }

    fn choose(environment: Option<&Path>, built_with: &Path, linked: (u8, u8)) -> Self {
        let own = built_with.exists().then(|| built_with.to_owned());
        let Some(folder) = environment else { return Self { executable: own, note: None } };
        let configuration = std::fs::read_to_string(folder.join("pyvenv.cfg")).unwrap_or_default();
        let program = folder.join("bin/python");
        match environment_version(&configuration) {
            Some(version) if version == linked && program.exists() => {
                Self { executable: Some(program), note: None }
            }
            Some((major, minor)) if (major, minor) != linked => Self {
                executable: own,
                note: Some(format!(
                    "the active virtual environment {} is not used: it is for CPython {major}.{minor}, and this forkprint \
                     links {}.{}; `pip install forkprint` inside it gives one that fits",
                    folder.display(),
                    linked.0,
                    linked.1
                )),
            },
            _ => Self { executable: own, note: None },
        }
    }
}

/// `(major, minor)` from a `pyvenv.cfg`: venv writes `version`, virtualenv and uv `version_info`.
fn environment_version(configuration: &str) -> Option<(u8, u8)> {
    configuration.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        matches!(key.trim(), "version" | "version_info").then(|| version::parse(value.trim()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_environments_of_every_kind() {
        let venv = "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.7\n";
        let uv = "home = /opt/python\nimplementation = CPython\nuv = 0.9\nversion_info = 3.13.0\n";
        assert_eq!(environment_version(venv), Some((3, 11)));
        assert_eq!(environment_version(uv), Some((3, 13)));
        assert_eq!(environment_version("home = /usr/bin"), None);
    }

    #[test]
    fn an_environment_is_used_if_it_fits_and_named_if_it_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (program, built_with) = (folder.path().join("bin/python"), folder.path().join("python3"));
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        std::fs::write(folder.path().join("pyvenv.cfg"), "version = 3.12.1\n").unwrap();
        for file in [&program, &built_with] {
            std::fs::write(file, "").unwrap();
        }
        let home = |environment, linked| Home::choose(environment, &built_with, linked);
        assert_eq!(
            home(Some(folder.path()), (3, 12)),
            Home { executable: Some(program.clone()), note: None }
        );
        assert_eq!(home(None, (3, 12)), Home { executable: Some(built_with.clone()), note: None });
        let other = home(Some(folder.path()), (3, 9));
        assert_eq!(other.executable.as_ref(), Some(&built_with));
        assert!(
            other.note.is_some_and(|note| note.contains("for CPython 3.12") && note.contains("links 3.9"))
        );
        assert_eq!(Home::choose(None, Path::new("/none"), (3, 9)).executable, None);
    }
}
