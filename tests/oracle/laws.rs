//! What holds for every snapshot of every family, whatever the processes did.

use forkprint::family::Rung;
use forkprint::family::recording::{Content, Recording, Step};

/// Conservation in each snapshot, and no change where nobody did anything.
///
/// `Private_Dirty` counts shared memory that only one process has touched, so it says nothing of a
/// family that uses shared memory.
pub fn check(recordings: &[Recording], shared_memory: bool) {
    for recording in recordings {
        for step in &recording.steps {
            pages_are_conserved(step);
            frames_are_conserved(step, recording.about.rung, shared_memory);
        }
        cells_add_up(recording);
        reading_changes_nothing(&recording.steps);
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
fn frames_are_conserved(step: &Step, rung: Rung, shared_memory: bool) {
    let shares: f64 = step.ledger.shares.iter().map(|share| share.proportional_frames).sum();
    assert!((shares - step.ledger.distinct_frames as f64).abs() < 1e-6, "{:?}", step.ledger);
    if rung == Rung::Pfn {
        let check = &step.cross_check;
        within_one_percent(check.family_distinct, check.family_pss_anon);
        if !shared_memory {
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

fn reading_changes_nothing(steps: &[Step]) {
    for pair in steps.windows(2).filter(|pair| pair[1].name == "the same again") {
        assert_eq!(pair[0].workers, pair[1].workers);
        assert_eq!(pair[0].ledger, pair[1].ledger);
        assert_eq!(pair[0].cross_check, pair[1].cross_check);
    }
}
