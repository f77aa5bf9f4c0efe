//! FP003: make inherited objects immortal.

use super::measured::Measured;
use super::{Change, Evidence, Judgement, Rule, Target, source};
use crate::family::Witness;
use crate::family::cause::Cause;
use crate::units::Bytes;

pub(super) static RULE: Rule = Rule {
    code: "FP003",
    title: "Make inherited objects immortal",
    summary: "forkprint.prepare_fork() makes what was built before the fork immortal, which stops the writes of reference counts (CPython 3.12 and 3.13); it warms caches and freezes, too.",
    caveats: &[
        "immortal objects are never freed: not for data that the application replaces as it runs",
        "their finalizers and weak-reference callbacks never run; objects that have some are left mortal",
        "extensions built for the stable ABI of CPython 3.11 or older still count references; prepare_fork() names them",
    ],
    judge,
};

fn judge(evidence: &Evidence<'_>) -> Judgement {
    match evidence.cpython() {
        None => return Judgement::does_not("only CPython has reference counts to stop"),
        Some((3, 12 | 13)) => {}
        Some((major, minor)) => {
            return Judgement::does_not(format!(
                "CPython {major}.{minor}: objects can be made immortal on 3.12 and 3.13 only{}",
                ghosts(evidence).map_or_else(|_| String::new(), |ghosts| format!(" ({ghosts})"))
            ));
        }
    }
    let prepared = match evidence.target {
        Target::Gunicorn { settings, .. } if !settings.preload_app => {
            return Judgement::does_not("preload_app = False: workers inherit no application (FP001)");
        }
        Target::Gunicorn { text, .. } | Target::Python { text, .. } => source::call(text, "prepare_fork"),
    };
    if let Some(line) = prepared {
        return Judgement::does_not(format!("line {line} calls prepare_fork() already"));
    }
    let change = || Change::before_fork(evidence.target, &["import forkprint", "forkprint.prepare_fork()"]);
    ghosts(evidence).map_or_else(Judgement::DoesNot, |seen| Judgement::applies(seen, change()))
}

/// Copies that reference counts alone caused, or why there are too few.
fn ghosts(evidence: &Evidence<'_>) -> Result<String, String> {
    if evidence.recording.about.witness == Witness::None {
        // Ghosts are known by their bytes; a count that went up and down is the usual reason.
        let measured = Measured::of(evidence)?;
        let pages = measured.all_ghosts();
        let shown = Bytes::of_pages(pages);
        return if measured.matters(pages) {
            Ok(format!(
                "{shown} of ghosts in each of {} (who wrote them was not witnessed)",
                measured.workers_shown()
            ))
        } else {
            Err(format!("a worker has only {shown} of ghosts"))
        };
    }
    let measured = Measured::witnessed(evidence)?;
    let counted = measured.of_cause(Cause::Refcount);
    let seen = measured.judge(Cause::Refcount)?;
    let ghosts = measured.per_worker(counted.ghosts());
    if measured.matters(ghosts) {
        Ok(seen)
    } else {
        Err(format!("what reference counts broke was written for other reasons, too: {seen}"))
    }
}
