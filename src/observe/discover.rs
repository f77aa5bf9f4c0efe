//! Which processes form a family.

use super::root::ProcRoot;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// A process and all its descendants, parents before children, by pid within a generation.
///
/// Errors: no such process.
pub fn descendants(root: &ProcRoot, zygote: u32) -> Result<Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let processes = procfs::process::all_processes_with_root(root.path())
        .map_err(|error| Error::new("cannot list processes").path(root.path()).why(error))?;
    for stat in processes.flatten().filter_map(|process| process.stat().ok()) {
        if let (Ok(parent), Ok(pid)) = (u32::try_from(stat.ppid), u32::try_from(stat.pid)) {
            children.entry(parent).or_default().push(pid);
        }
    }
    root.process(zygote)?;
    let mut family = vec![zygote];
    let mut next = 0;
    while let Some(parent) = family.get(next) {
        family.extend(children.remove(parent).unwrap_or_default());
        next += 1;
    }
    Ok(family)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::spawn::ProcessGroup;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn finds_children_and_grandchildren() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo started; wait"]).stdout(Stdio::piped());
        let mut group = ProcessGroup::spawn(command, Vec::new()).unwrap();
        let mut line = String::new();
        let stdout = group.child().stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let family = descendants(&ProcRoot::system(), group.pid()).unwrap();
        assert_eq!((family[0], family.len()), (group.pid(), 2));
        let of_us = descendants(&ProcRoot::system(), std::process::id()).unwrap();
        assert!(family.iter().all(|pid| of_us.contains(pid)));
    }

    #[test]
    fn a_process_that_does_not_exist_has_no_family() {
        assert!(descendants(&ProcRoot::system(), u32::MAX / 4).is_err());
    }
}
