//! Broken pages by region, at the step at which most were broken.

use super::Page;
use super::paint::bar;
use crate::family::recording::Recording;
use crate::report::printable;
use crate::report::summary::{clipped, column_percent, worst_step};
use crate::units::Bytes;
use std::cmp::Reverse;
use std::fmt::Write;

/// Regions shown before the small ones are summed up.
const MOST_REGIONS: usize = 6;
/// The same in a sentence.
const FEW_REGIONS: usize = 4;

/// Regions with broken pages, most first; the small ones are one row.
struct Regions {
    step: String,
    rows: Vec<(String, u64)>,
    total: u64,
}

impl Regions {
    fn of(recording: &Recording, most: usize) -> Option<Self> {
        let step = &recording.steps[worst_step(recording)?];
        let broken = step.regions.iter().filter(|(_, pages)| **pages > 0);
        let mut rows: Vec<(String, u64)> = broken.map(|(name, &pages)| (printable(name), pages)).collect();
        rows.sort_by_key(|(_, pages)| Reverse(*pages));
        let total = rows.iter().map(|(_, pages)| pages).sum();
        if rows.len() > most {
            let rest = rows.split_off(most - 1);
            rows.push((format!("{} more", rest.len()), rest.iter().map(|(_, pages)| pages).sum()));
        }
        (!rows.is_empty()).then(|| Self { step: printable(&step.name), rows, total })
    }
}

impl Page {
    /// One row a region, with its size and a bar.
    pub(super) fn regions(&self, recording: &Recording) -> String {
        let Some(Regions { step, rows, total }) = Regions::of(recording, MOST_REGIONS) else {
            return String::new();
        };
        let head = format!("broken by region, all workers, after “{step}”");
        let mut text = self.paint.dim(&self.wrap(&head, 0));
        let most = rows.iter().map(|(_, pages)| *pages).max().unwrap_or(0);
        for (name, pages) in &rows {
            let bar = bar(*pages, most, self.width.saturating_sub(50).clamp(8, 24));
            let _ = writeln!(
                text,
                "{:<24} {:>10} {:>7}  {}",
                clipped(name, 24),
                Bytes::of_pages(*pages),
                column_percent(*pages, total),
                self.paint.accent(&bar)
            );
        }
        text
    }

    /// The same in a sentence, where causes stand in their place.
    pub(super) fn regions_in_short(&self, recording: &Recording) -> String {
        if self.why.is_none() {
            return String::new();
        }
        let Some(Regions { rows, total, .. }) = Regions::of(recording, FEW_REGIONS) else {
            return String::new();
        };
        let share = |(name, pages): &(String, u64)| {
            format!("{} {}", clipped(name, 32), column_percent(*pages, total))
        };
        let shares = rows.iter().map(share).collect::<Vec<_>>().join(", ");
        self.wrap(&format!("by region: {shares}"), 2)
    }
}
