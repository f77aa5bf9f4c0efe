//! The evidence ladder.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The strength of the evidence a measurement rests on, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Frames of worker and zygote against the fork-time frames: exact.
    Pfn,
    /// Pages written since the fork, tracked by userfaultfd `WP_ASYNC`: exact, no frames.
    Scan,
    /// Exclusively mapped pages against a frozen sibling: exact for small folios.
    Exclusive,
    /// Totals of `smaps_rollup` alone.
    Rollup,
}

impl Rung {
    /// Every rung, best first.
    pub const ALL: [Self; 4] = [Self::Pfn, Self::Scan, Self::Exclusive, Self::Rollup];

    /// The name used in options and outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pfn => "pfn",
            Self::Scan => "scan",
            Self::Exclusive => "exclusive",
            Self::Rollup => "rollup",
        }
    }

    /// One line for the reader of a report: what the verdicts rest on.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Pfn => {
                "page frame numbers of zygote and worker, compared with a sibling frozen at the fork (exact)"
            }
            Self::Scan => {
                "pages written since the fork, tracked by the kernel with userfaultfd WP_ASYNC (exact; frames hidden)"
            }
            Self::Exclusive => {
                "exclusively mapped pages, while a sibling frozen at the fork holds every fork-time frame (exact for small folios)"
            }
            Self::Rollup => "totals of smaps_rollup (no page detail)",
        }
    }
}

impl FromStr for Rung {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|rung| rung.name() == text);
        found.ok_or_else(|| format!("'{text}' is no rung; choose one of {names}"))
    }
}
