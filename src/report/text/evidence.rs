//! What the numbers rest on.

use super::Page;
use crate::family::Witness;
use crate::family::recording::{About, Reconciliation, Recording};
use crate::report::printable;
use crate::report::second_method::{Check, checks, last_step, worst_check};
use crate::report::summary::grouped;

impl Page {
    /// Rung, witness, equation, and the kernel's totals beside ours.
    pub(super) fn evidence(&self, recording: &Recording) -> String {
        let About { rung, witness, .. } = &recording.about;
        let mut text = self
            .wrap(&format!("evidence: rung {}, witness {witness} — {}", rung.name(), rung.explanation()), 10);
        if *witness == Witness::None {
            let help = "`forkprint doctor` says which witnesses this machine allows";
            text += &self.wrap(&format!("          {}; {help}", witness.explanation()), 10);
        }
        text += &self.wrap(&format!("          {}", equation(&recording.reconciliation)), 10);
        if let Some(last) = last_step(recording) {
            let sentences: Vec<String> = checks(last).iter().map(Check::sentence).collect();
            text += &self.wrap(&format!("          second method: {}", sentences.join("; ")), 10);
        }
        if let Some((step, check)) = worst_check(recording) {
            let name = printable(&step.name);
            text += &self.wrap(&format!("          worst step: after “{name}”, {}", check.sentence()), 10);
        }
        self.paint.dim(&text)
    }
}

/// The reconciliation as an equation with numbers.
pub(in crate::report) fn equation(sums: &Reconciliation) -> String {
    let lost = if sums.lost_samples > 0 {
        format!(" ({} samples lost)", grouped(sums.lost_samples))
    } else {
        String::new()
    };
    format!(
        "{} broken = {} explained + {} by the kernel + {} at the fork itself, before the first step (floor) + {} unexplained{lost}",
        grouped(sums.broken),
        grouped(sums.explained),
        grouped(sums.kernel_writes),
        grouped(sums.floor),
        grouped(sums.unexplained)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::synthetic::{Shape, recording};

    #[test]
    fn who_had_no_witness_is_sent_to_the_doctor() {
        let mut recording = recording(Shape { pages: 500, workers: 1, steps: 1, server: false, seed: 4 });
        for witness in Witness::ALL {
            recording.about.witness = witness;
            let said = crate::report::text::render(&recording, 120, false);
            assert!(said.contains(&format!("witness {witness} — ")), "{said}");
            assert_eq!(said.contains("forkprint doctor"), witness == Witness::None, "{said}");
        }
    }

    #[test]
    fn the_equation_names_all_its_terms() {
        let sums = Reconciliation { broken: 9, floor: 4, unexplained: 5, ..Reconciliation::default() };
        let said = equation(&sums);
        assert!(
            said.ends_with("4 at the fork itself, before the first step (floor) + 5 unexplained"),
            "{said}"
        );
        let lost = equation(&Reconciliation { lost_samples: 2, ..sums });
        assert!(lost.ends_with("unexplained (2 samples lost)"), "{lost}");
    }
}
