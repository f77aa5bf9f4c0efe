//! A zygote and all that was forked from it, at one moment.

use super::json;
use crate::error::Result;
use crate::family::{Ledger, LedgerShare, Process, Rung};
use crate::observe::discover::descendants;
use crate::observe::rollup::read_rollup;
use crate::observe::{ProcRoot, read_processes};
use crate::units::PAGE_SIZE;
use pyo3::{PyResult, Python, pyfunction};
use serde::Serialize;

#[derive(Serialize)]
struct Family {
    rung: Rung,
    distinct_bytes: u64,
    members: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    pid: u32,
    rss_bytes: u64,
    private_bytes: u64,
    unique_bytes: u64,
    proportional_bytes: u64,
    page_table_bytes: u64,
}

/// Who pays for the private memory of a process and its descendants, as JSON text.
#[pyfunction]
pub(super) fn family(py: Python<'_>, pid: u32) -> PyResult<String> {
    Ok(py.detach(|| read(pid).and_then(|family| json(&family)))?)
}

fn read(zygote: u32) -> Result<Family> {
    let root = ProcRoot::system();
    let mut processes = Vec::new();
    for process in read_processes(&root, &descendants(&root, zygote)?) {
        match process {
            Ok(process) => processes.push(process),
            // A worker may end while the family is read; the zygote, read first, may not.
            Err(error) if processes.is_empty() => return Err(error),
            Err(_) => {}
        }
    }
    let tables: Vec<_> =
        processes.iter().map(|process| (process.pid, process.page_table_bytes, &process.pages)).collect();
    match Ledger::of_frames(&tables) {
        Some(ledger) => Ok(by_frames(&processes, &ledger)),
        None => by_totals(&root, &processes),
    }
}

/// Counts who maps each frame.
fn by_frames(processes: &[Process], ledger: &Ledger) -> Family {
    let member = |(process, share): (&Process, &LedgerShare)| {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of bytes"
        )]
        let proportional_bytes = (share.proportional_frames * PAGE_SIZE as f64).round() as u64;
        Member { unique_bytes: share.unique_frames * PAGE_SIZE, proportional_bytes, ..Member::of(process) }
    };
    Family {
        rung: Rung::Pfn,
        distinct_bytes: ledger.distinct_frames * PAGE_SIZE,
        members: processes.iter().zip(&ledger.shares).map(member).collect(),
    }
}

/// Takes the kernel's totals, where it hides the frames.
fn by_totals(root: &ProcRoot, processes: &[Process]) -> Result<Family> {
    let mut members = Vec::with_capacity(processes.len());
    for process in processes {
        let totals = read_rollup(root, process.pid)?;
        let (unique_bytes, proportional_bytes) = (totals.private_dirty, totals.pss_anon);
        members.push(Member { unique_bytes, proportional_bytes, ..Member::of(process) });
    }
    let distinct_bytes = members.iter().map(|member| member.proportional_bytes).sum();
    Ok(Family { rung: Rung::Rollup, distinct_bytes, members })
}

impl Member {
    /// A process that pays for nothing yet.
    fn of(process: &Process) -> Self {
        Self {
            pid: process.pid,
            rss_bytes: process.rss_bytes,
            private_bytes: process.private_bytes(),
            unique_bytes: 0,
            proportional_bytes: 0,
            page_table_bytes: process.page_table_bytes,
        }
    }
}
