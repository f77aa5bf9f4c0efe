//! What a process runs, and how likely it is the one that pre-forks.

use crate::error::Result;
use crate::observe::ProcRoot;
use std::path::Path;

/// Shells fork to execute other programs; those are meant.
const SHELLS: [&str; 7] = ["sh", "dash", "bash", "zsh", "ksh", "fish", "busybox"];

/// A process and the program image it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its process.
    pub pid: u32,
    /// Told apart from later processes of the same id, and from programs executed later.
    image: (u64, [u64; 3]),
    /// Its command line, for people.
    pub line: String,
    /// Name of the program.
    pub name: String,
    /// Minor version of the `CPython` inside, or 0.
    pub python_minor: u8,
}

/// How likely a program is a zygote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A shell.
    Shell,
    /// Any program.
    Program,
    /// `CPython` runs in it.
    Python,
}

impl Program {
    /// Looks at a process.
    pub fn of(pid: u32, python_minor: u8) -> Result<Self> {
        let process = ProcRoot::system().process(pid)?;
        let line = process.cmdline().unwrap_or_default();
        let path = process.exe().ok().or_else(|| line.first().map(Into::into)).unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { pid, image: image(pid).unwrap_or_default(), line: line.join(" "), name, python_minor })
    }

    /// How likely it is a zygote.
    pub fn rank(&self) -> Rank {
        if self.python_minor > 0 {
            Rank::Python
        } else if SHELLS.contains(&self.name.as_str()) {
            Rank::Shell
        } else {
            Rank::Program
        }
    }

    /// Whether the process still runs, and this program.
    pub fn still_runs(&self) -> bool {
        image(self.pid) == Some(self.image)
    }

    /// Whether a process runs a copy of this program's memory: forked, and nothing executed since.
    pub fn is_image_of(&self, pid: u32) -> bool {
        image(pid).is_some_and(|(_, image)| image == self.image.1)
    }

    /// `CPython 3.12`, or the name of the program.
    pub fn runtime(&self) -> String {
        match self.python_minor {
            0 => self.name.clone(),
            minor => format!("CPython 3.{minor}"),
        }
    }

    /// The program and the last part of its first argument: enough to be recognised by.
    pub fn short(&self) -> String {
        let mut words = self.line.split(' ');
        let program = words.next().unwrap_or_default();
        let last = |path: &str| {
            Path::new(path).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        };
        let argument = words.find(|word| !word.starts_with('-')).map(last).unwrap_or_default();
        format!("{} {argument}", last(program)).trim_end().to_owned()
    }
}

/// Start time and layout of the image a process runs; `None` once it has ended.
fn image(pid: u32) -> Option<(u64, [u64; 3])> {
    let stat = ProcRoot::system().process(pid).ok()?.stat().ok()?;
    // One that is about to end has no memory any more.
    if matches!(stat.state, 'Z' | 'X') || stat.startcode == 0 {
        return None;
    }
    Some((stat.starttime, [stat.startcode, stat.endcode, stat.startstack]))
}

/// The status of a zombie, as `waitpid` would give it.
pub fn status_of_zombie(pid: u32) -> Option<i32> {
    let stat = ProcRoot::system().process(pid).ok()?.stat().ok()?;
    if stat.state == 'Z' { stat.exit_code } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_run_our_own_image() {
        let own = Program::of(std::process::id(), 0).unwrap();
        assert!(own.still_runs() && own.is_image_of(own.pid));
        assert!(Program::of(u32::MAX / 4, 0).is_err());
    }

    #[test]
    fn python_ranks_above_programs_and_these_above_shells() {
        let program = |name: &str, python_minor| {
            let line = format!("/usr/bin/{name} -u /srv/app/server.py --token x");
            Program { pid: 1, image: Default::default(), line, name: name.into(), python_minor }
        };
        let (shell, other, python) = (program("bash", 0), program("nginx", 0), program("python3.12", 12));
        assert!(shell.rank() < other.rank() && other.rank() < python.rank());
        assert_eq!((python.runtime(), other.runtime()), ("CPython 3.12".into(), "nginx".into()));
        assert_eq!(python.short(), "python3.12 server.py");
    }
}
