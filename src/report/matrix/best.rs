//! Which policy is best, row by row and overall, and how good the model is.

use super::{CellStep, Matrix, Policy, Program};

/// The best policy of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Its cell.
    pub step: &'a CellStep,
}

/// A policy over all programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Private pages of one worker after the last step, all programs together.
    pub private: u64,
}

/// How many cells the model got right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Agreement {
    /// Cells with a prediction within 5 % or 2 pages.
    pub right: usize,
    /// Cells with any prediction.
    pub all: usize,
}

impl Matrix {
    /// The policy with the fewest private pages in a row; of several, the one whose step took least.
    pub fn best(&self, program: &Program, step: usize) -> Option<Best<'_>> {
        let cells = self.policies.iter().filter_map(|policy| {
            let step = self.at(&program.name, step, &policy.name)?;
            Some(Best { policy, step })
        });
        cells.min_by_key(|best| (best.step.private, best.step.nanoseconds))
    }

    /// Policies that every program was measured with, the cheapest first.
    pub fn standings(&self) -> Vec<Standing<'_>> {
        let mut standings: Vec<_> = self
            .policies
            .iter()
            .filter_map(|policy| {
                let last = |program: &Program| {
                    let step = self.cell(&program.name, &policy.name)?.steps.last()?;
                    Some(step.private)
                };
                let private = self.programs.iter().map(last).sum::<Option<u64>>()?;
                Some(Standing { policy, private })
            })
            .collect();
        standings.sort_by_key(|standing| standing.private);
        standings
    }

    /// How many cells the model got right.
    pub fn agreement(&self) -> Agreement {
        let judged: Vec<bool> =
            self.cells.iter().flat_map(|cell| &cell.steps).filter_map(CellStep::is_predicted).collect();
        Agreement { right: judged.iter().filter(|right| **right).count(), all: judged.len() }
    }
}
