//! What another design of the toy runtime would do about a cause: nobody can fix the line of a program
//! that its runtime writes for.

use crate::family::cause::Cause;
use crate::family::recording::Recording;
use crate::report::ranking::Ranking;

/// The runtime whose design can be chosen.
const RUNTIME: &str = "toy";

const FREEZE: &str = "--at-fork freeze";

/// The default: it may be chosen without being named.
const MARK_BITMAP: &str = "--gc mark-bitmap";

/// Whether the recording is of a runtime whose design can be chosen.
pub(super) fn can_be_chosen(recording: &Recording) -> bool {
    recording.about.runtime == RUNTIME
}

/// Causes below this share, in percent, are not worth another design.
const WORTH_A_DESIGN: u64 = 5;

/// Flags that keep the first writes of the most frequent cause from happening, but for those given already.
pub(super) fn others(recording: &Recording, all: &Ranking) -> Option<String> {
    let command = recording.about.command.replace('=', " ");
    let frequent = all.by_cause().into_iter().filter(|row| row.pages * 100 >= all.pages() * WORTH_A_DESIGN);
    let (cause, flags) =
        frequent.map(|row| (row.cause, flags(row.cause))).find(|(_, flags)| !flags.is_empty())?;
    let new: Vec<&str> = flags.iter().copied().filter(|flag| is_other(&command, cause, flag)).collect();
    (!new.is_empty()).then(|| format!("compare another design: {}", new.join(", or ")))
}

/// Whether the command does not choose this already, by a flag or for want of one.
fn is_other(command: &str, cause: Cause, flag: &str) -> bool {
    match flag {
        // Of all that mark, one alone does so anywhere but in a bitmap.
        MARK_BITMAP if cause == Cause::GcMark => command.contains("--gc mark-header"),
        MARK_BITMAP => command.contains("--gc ") && !command.contains(MARK_BITMAP),
        FREEZE => !command.contains("freeze"),
        _ => !command.contains(flag),
    }
}

const fn flags(cause: Cause) -> &'static [&'static str] {
    match cause {
        Cause::Refcount => &["--gc refcount-side", FREEZE],
        Cause::GcMark => &[MARK_BITMAP, FREEZE],
        Cause::GcMove => &[FREEZE, MARK_BITMAP],
        Cause::JitCode => &["--jit indirect", "--jit warm"],
        Cause::JitData => &["--jit warm"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_already_is_not_advised() {
        let is_other = |command, flag| super::is_other(command, Cause::GcMark, flag);
        assert!(is_other("run a.toy --gc mark-header", MARK_BITMAP));
        assert!(!is_other("run a.toy", MARK_BITMAP) && !is_other("run a.toy --gc generational", MARK_BITMAP));
        assert!(is_other("run a.toy", FREEZE) && !is_other("run a.toy --at-fork compact-freeze", FREEZE));
        assert!(is_other("run a.toy --gc refcount", "--gc refcount-side"));
        assert!(super::is_other("run a.toy --gc copying", Cause::GcMove, MARK_BITMAP));
    }
}
