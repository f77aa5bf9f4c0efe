//! The kernel's own totals beside ours.

use crate::family::recording::{Recording, Step};
use crate::units::{Bytes, PAGE_SIZE};

/// One of the kernel's totals beside ours, in bytes.
pub(super) struct Check {
    /// What was counted.
    pub name: String,
    /// Field of `smaps_rollup`.
    pub field: &'static str,
    /// The kernel's total.
    pub kernel: u64,
    /// Our total.
    pub ours: u64,
}

impl Check {
    /// How far ours is from the kernel's, as a part of the kernel's.
    #[expect(clippy::cast_precision_loss, reason = "to find the largest")]
    fn off(&self) -> f64 {
        self.ours.abs_diff(self.kernel) as f64 / self.kernel.max(1) as f64
    }

    /// Both totals and their difference.
    pub fn sentence(&self) -> String {
        let Self { name, kernel, ours, .. } = self;
        format!(
            "{name} {} by the kernel, {} by us ({})",
            Bytes(*kernel),
            Bytes(*ours),
            difference(*kernel, *ours)
        )
    }
}

/// The totals of a step that both methods know. Where frames are hidden, we do not know the family's.
pub(super) fn checks(step: &Step) -> Vec<Check> {
    let check = &step.cross_check;
    let beyond = check.family_distinct.saturating_sub(step.ledger.distinct_frames * PAGE_SIZE);
    let family = match beyond {
        0 => "whole family".to_owned(),
        kept => format!("whole family (including {} that the frozen sibling keeps)", Bytes(kept)),
    };
    let mut checks = vec![Check {
        name: "workers’ own memory".into(),
        field: "Private_Dirty",
        kernel: check.workers_private_dirty,
        ours: check.workers_unique,
    }];
    if check.family_distinct > 0 {
        checks.push(Check {
            name: family,
            field: "Pss_Anon",
            kernel: check.family_pss_anon,
            ours: check.family_distinct,
        });
    }
    checks
}

/// The last step with a living worker.
pub(super) fn last_step(recording: &Recording) -> Option<&Step> {
    recording.steps.iter().rev().find(|step| !step.workers.is_empty())
}

/// The total that differs most at any step, where that is worse than all totals of the last step.
pub(super) fn worst_check(recording: &Recording) -> Option<(&Step, Check)> {
    let steps = recording.steps.iter().filter(|step| !step.workers.is_empty());
    let at_the_end = checks(last_step(recording)?).iter().map(Check::off).fold(0.0, f64::max);
    steps
        .flat_map(|step| checks(step).into_iter().map(move |check| (step, check)))
        .max_by(|(_, a), (_, b)| a.off().total_cmp(&b.off()))
        .filter(|(_, check)| check.off() > at_the_end)
}

/// Ours against the kernel's, signed and in percent.
#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
pub(super) fn difference(kernel: u64, ours: u64) -> String {
    match (kernel, ours) {
        (0, 0) => "equal".into(),
        (0, _) => "not counted by the kernel".into(),
        (kernel, ours) if kernel == ours => "equal".into(),
        (kernel, ours) => match (ours as f64 - kernel as f64) * 100.0 / kernel as f64 {
            tiny if tiny.abs() < 0.005 => "within 0.01\u{a0}%".into(),
            percent => format!("{percent:+.2}\u{a0}%"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::synthetic::{Shape, recording};

    #[test]
    fn what_the_frozen_sibling_keeps_is_named() {
        let mut recording = recording(Shape { pages: 2000, workers: 2, steps: 3, server: false, seed: 4 });
        assert_eq!(checks(&recording.steps[3])[1].name, "whole family");
        recording.steps[3].cross_check.family_distinct += 5 * PAGE_SIZE;
        assert_eq!(
            checks(&recording.steps[3])[1].name,
            "whole family (including 20.0 KiB that the frozen sibling keeps)"
        );
    }

    #[test]
    fn the_worst_step_is_shown_only_where_it_is_worse_than_the_last() {
        let mut recording = recording(Shape { pages: 2000, workers: 2, steps: 3, server: false, seed: 4 });
        recording.steps[1].cross_check.workers_unique *= 2;
        let (step, check) = worst_check(&recording).unwrap();
        assert_eq!((&step.name, check.field), (&recording.steps[1].name, "Private_Dirty"));
        recording.steps.truncate(2);
        assert!(worst_check(&recording).is_none());
    }
}
