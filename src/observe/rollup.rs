//! The kernel's own totals (`/proc/PID/smaps_rollup`), the second method beside ours.

use super::root::{ProcRoot, unreadable};
use crate::error::Result;

/// Totals of one process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rollup {
    /// Resident set.
    pub rss: u64,
    /// Proportional set size of all memory.
    pub pss: u64,
    /// Proportional set size of anonymous memory.
    pub pss_anon: u64,
    /// Dirty pages that nobody else maps.
    pub private_dirty: u64,
    /// Clean pages that nobody else maps.
    pub private_clean: u64,
    /// Anonymous memory in huge pages.
    pub anon_huge: u64,
    /// In swap.
    pub swap: u64,
}

/// Reads the totals of one process.
pub fn read_rollup(root: &ProcRoot, pid: u32) -> Result<Rollup> {
    let rollup = root.process(pid)?.smaps_rollup().map_err(|error| unreadable(root, pid, &error))?;
    let Some(map) = rollup.memory_map_rollup.into_iter().next() else { return Ok(Rollup::default()) };
    let value = |name: &str| map.extension.map.get(name).copied().unwrap_or(0);
    Ok(Rollup {
        rss: value("Rss"),
        pss: value("Pss"),
        pss_anon: value("Pss_Anon"),
        private_dirty: value("Private_Dirty"),
        private_clean: value("Private_Clean"),
        anon_huge: value("AnonHugePages"),
        swap: value("Swap"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_totals_are_plausible() {
        let rollup = read_rollup(&ProcRoot::system(), std::process::id()).unwrap();
        assert!(rollup.pss_anon > 0 && rollup.pss_anon <= rollup.pss && rollup.pss <= rollup.rss);
    }
}
