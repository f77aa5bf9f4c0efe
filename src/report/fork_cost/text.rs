//! The cost of a fork as a table.

use super::{ForkCost, Point, time};
use crate::report::text::paint::Paint;
use crate::units::Bytes;
use std::fmt::Write;

/// One row a size; medians.
pub fn render(cost: &ForkCost, color: bool) -> String {
    let paint = Paint { color };
    let mut text = format!(
        "{}\n",
        paint.bold("What it costs to make a process, by the memory of the one that makes it")
    );
    let _ = writeln!(
        text,
        "medians of {} rounds; exec of {}; {}; {}\n",
        cost.rounds, cost.program, cost.machine, cost.kernel
    );
    for (huge, title) in [(false, "4 KiB pages"), (true, "huge pages asked for (madvise)")] {
        let head = format!(
            "{title}\n{:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>11} {:>11} {:>10}",
            "memory",
            "fork",
            "fork+exit",
            "fork+exec",
            "vfork",
            "clone",
            "posix_spawn",
            "page tables",
            "copy fault"
        );
        let _ = writeln!(text, "{}", paint.dim(&head));
        cost.with_pages(huge).for_each(|point| row(&mut text, point));
        let line = if huge { cost.huge_pages } else { cost.small_pages };
        if let Some(line) = line {
            let _ = writeln!(
                text,
                "fork = {:.2} ns a 4 KiB page + {:.0} µs (R² {:.3})",
                line.slope,
                line.intercept / 1e3,
                line.r_squared
            );
        }
        text.push('\n');
    }
    for sentence in &cost.advice {
        let _ = writeln!(text, "{sentence}");
    }
    text
}

fn row(text: &mut String, point: &Point) {
    let times = [point.fork_call, point.fork_exit, point.fork_exec, point.vfork_exec, point.clone_exec];
    let _ = write!(text, "{:>10}", Bytes(point.bytes).to_string());
    for spread in times {
        let _ = write!(text, " {:>10}", time(spread.median));
    }
    let _ = writeln!(
        text,
        " {:>11} {:>11} {:>10}",
        time(point.posix_spawn.median),
        Bytes(point.page_table_bytes).to_string(),
        time(point.copy_fault.median)
    );
}
