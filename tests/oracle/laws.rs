//! What holds for every snapshot of every family, whatever the processes did.

use forkprint::family::Rung;
use forkprint::family::recording::{Content, Recording, Step};

/// What makes a law not apply.
#[derive(Debug, Clone, Copy, Default)]
pub struct Exceptions {
    /// `Private_Dirty` counts shared memory too, where only one process has touched it.
    pub shared_memory: bool,
    /// Bytes in swap are compared by reading them back, which takes frames.
    pub swap: bool,
}

/// Conservation in each snapshot, and no change where nobody did anything.
pub fn check(recordings: &[Recording], exceptions: Exceptions) {
    for recording in recordings {
        for step in &recording.steps {
            pages_are_conserved(step);
            frames_are_conserved(step, recording.about.rung, exceptions);
        }
        cells_add_up(recording);
        reading_changes_nothing(&recording.steps, exceptions);
    }
}

fn pages_are_conserved(step: &Step) {
    for worker in &step.workers {
        let both = worker.broken_by_worker + worker.broken_by_zygote - worker.broken;
        assert!(both <= worker.broken_by_worker.min(worker.broken_by_zygote), "{worker:?}");
        assert!(worker.broken + worker.gone <= worker.inherited, "{worker:?}");
        assert!(worker.ghost + worker.uncompared <= worker.broken, "{worker:?}");
    }
}

/// The pages themselves add up to the counts of the last snapshot.
fn cells_add_up(recording: &Recording) {
    for (pages, counts) in recording.pages.workers.iter().zip(&recording.steps.last().unwrap().workers) {
        let count = |which: &dyn Fn(&forkprint::family::recording::PageCell) -> bool| {
            pages.cells.iter().filter(|cell| which(cell)).count() as u64
        };
        let shared = count(&|cell| cell.state == forkprint::family::PageState::Shared);
        let differing = count(&|cell| cell.content == Content::Differs);
        assert_eq!(counts.inherited, shared + counts.broken + counts.gone);
        assert_eq!(counts.broken, counts.ghost + differing + counts.uncompared);
    }
}

#[expect(clippy::cast_precision_loss, reason = "page counts are small")]
fn frames_are_conserved(step: &Step, rung: Rung, exceptions: Exceptions) {
    let shares: f64 = step.ledger.shares.iter().map(|share| share.proportional_frames).sum();
    assert!((shares - step.ledger.distinct_frames as f64).abs() < 1e-6, "{:?}", step.ledger);
    if rung == Rung::Pfn && !exceptions.swap {
        let check = &step.cross_check;
        within_one_percent(check.family_distinct, check.family_pss_anon);
        if !exceptions.shared_memory {
            within_one_percent(check.workers_unique, check.workers_private_dirty);
        }
    }
}

/// Within 1 %, or a few pages where the totals are small.
#[track_caller]
fn within_one_percent(ours: u64, kernels: u64) {
    let slack = (kernels / 100).max(8 * 4096);
    assert!(ours.abs_diff(kernels) <= slack, "{ours} bytes by our walk, {kernels} by the kernel");
}

fn reading_changes_nothing(steps: &[Step], exceptions: Exceptions) {
    for pair in steps.windows(2).filter(|pair| pair[1].name == "the same again") {
        assert_eq!(pair[0].workers, pair[1].workers);
        if !exceptions.swap {
            assert_eq!(pair[0].ledger, pair[1].ledger);
            let (before, after) = (&pair[0].cross_check, &pair[1].cross_check);
            assert_eq!(before.workers_unique, after.workers_unique);
            assert_eq!(before.family_distinct, after.family_distinct);
            // The kernel's own totals also hold pages of other mappings, which may settle meanwhile.
            within_one_percent(before.workers_private_dirty, after.workers_private_dirty);
            within_one_percent(before.family_pss_anon, after.family_pss_anon);
        }
    }
}
