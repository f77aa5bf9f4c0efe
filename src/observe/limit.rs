//! How much memory there is to use: that of the machine, or what the control group allows.

use crate::error::{Context, Error, Result};
use crate::observe::ProcRoot;
use crate::units::Bytes;
use std::fs;
use std::path::Path;

/// Where control groups (version 2) are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Memory of the machine (`MemTotal`).
pub fn of_machine(root: &ProcRoot) -> Result<Bytes> {
    let path = root.path().join("meminfo");
    let text = fs::read_to_string(&path).at("cannot read how much memory there is", &path)?;
    let kibibytes = text.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    });
    kibibytes.map(|kibibytes| Bytes(kibibytes * 1024)).ok_or_else(|| {
        Error::new("cannot read how much memory there is").path(path).why("it has no MemTotal")
    })
}

/// The least `memory.max` of this process's control group and those above it; nothing where none limits it.
pub fn of_control_group(root: &ProcRoot) -> Result<Option<Bytes>> {
    let path = root.path().join("self/cgroup");
    let text = fs::read_to_string(&path).at("cannot read the control group", &path)?;
    let Some(group) = text.lines().find_map(|line| line.strip_prefix("0::")) else { return Ok(None) };
    Ok(least(Path::new(CGROUPS), Path::new(group.trim_start_matches('/'))))
}

fn least(mount: &Path, group: &Path) -> Option<Bytes> {
    let limit = |group: &Path| {
        let text = fs::read_to_string(mount.join(group).join("memory.max")).ok()?;
        text.trim().parse::<u64>().ok().map(Bytes)
    };
    group.ancestors().filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_above_a_group_counts() {
        let mount = tempfile::tempdir().unwrap();
        let inner = mount.path().join("system/app");
        fs::create_dir_all(&inner).unwrap();
        fs::write(mount.path().join("system/memory.max"), "1048576\n").unwrap();
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        assert_eq!(least(mount.path(), Path::new("system/app")), Some(Bytes(1 << 20)));
        fs::write(inner.join("memory.max"), "4096\n").unwrap();
        assert_eq!(least(mount.path(), Path::new("system/app")), Some(Bytes(4096)));
        assert_eq!(least(mount.path(), Path::new("other")), None);
    }

    #[test]
    fn the_machine_has_memory() {
        assert!(of_machine(&ProcRoot::system()).unwrap().0 > 1 << 20);
    }
}
