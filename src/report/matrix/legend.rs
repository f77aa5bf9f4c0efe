//! The sentences that every form of a matrix opens with, and the words that explain it.

use super::{Matrix, Standing};
use crate::report::summary::{counted, grouped};
use crate::units::Bytes;

/// What to read first.
pub(in crate::report) fn verdict(matrix: &Matrix) -> Vec<String> {
    let mut sentences = Vec::new();
    if !matrix.complete {
        let asked = matrix.programs.len() * matrix.policies.len();
        sentences.push(format!(
            "This matrix is partial: {} of {asked} cells were measured before it was interrupted.",
            matrix.cells.len()
        ));
    }
    let standings = matrix.standings();
    if let ([best, .., worst], true) = (&standings[..], !matrix.programs.is_empty()) {
        sentences.push(best_and_worst(matrix, *best, *worst, standings.len()));
    }
    let agreement = matrix.agreement();
    if agreement.all > 0 {
        sentences.push(format!(
            "The model predicts {} of {} counts within 5 % or 2 pages.",
            grouped(agreement.right as u64),
            grouped(agreement.all as u64)
        ));
    }
    sentences
}

fn best_and_worst(matrix: &Matrix, best: Standing<'_>, worst: Standing<'_>, policies: usize) -> String {
    let programs = counted(matrix.programs.len(), "program");
    let costs = Bytes::of_pages(best.private);
    let first =
        format!("Of {policies} policies, {} costs a worker least over {programs}: {costs}", best.policy.name);
    if worst.private <= best.private {
        return format!("{first}, as do all others.");
    }
    format!(
        "{first}; {} costs most: {}{}.",
        worst.policy.name,
        Bytes::of_pages(worst.private),
        times(best, worst)
    )
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
fn times(best: Standing<'_>, worst: Standing<'_>) -> String {
    let factor = worst.private as f64 / best.private.max(1) as f64;
    if factor < 1.5 { String::new() } else { format!(", {factor:.0} times as much") }
}

/// How to read a cell.
pub(super) const HOW_TO_READ: &str = "Each count is the pages that one worker has for itself since the \
fork, in the runtime's own memory: inherited pages that it wrote, and pages made since. After the slash \
stands what the model computes from the program alone. Fewer is better.";
