//! The one sentence that says what to look at first.

use super::{Ranked, Ranking, Selection};
use crate::family::cause::Cause;
use crate::family::recording::Recording;
use crate::report::summary::{LONGEST_NAME, clipped, counted, shown_percent};

/// Where paths of objects begin that no module leads to: the name of no owner.
const NO_MODULE: &str = "(no module)";
/// Types named at most.
const MOST_TYPES: usize = 3;
/// A type is named from this share in the pages of the cause on, in percent.
const WORTH_NAMING: u64 = 5;
/// A line is named from this share in the pages of the cause on, in percent: else they are spread.
const WORTH_A_NAME: u64 = 20;
/// A line that wrote at least this share, in percent, needs no number beside it.
const NEARLY_ALL: u64 = 90;

/// The cause of most breaks, who wrote first, to what, and whose it was: `96 % reference counts, first
/// written by shop.py:14 search, in shop.Product, str and dict objects owned by shop.CATALOG`.
///
/// `None` where no break is explained. What is unexplained is said where it is 5 % or more.
pub fn headline(recording: &Recording) -> Option<String> {
    let all = Ranking::of(recording, Selection::at_worst(recording));
    let causes = all.by_cause();
    let top = causes.iter().find(|row| ![Cause::Floor, Cause::Unexplained].contains(&row.cause))?;
    let of_cause = all.only(|row| row.cause == top.cause);
    let parts = [
        Some(format!("{} {}", shown_percent(top.pages, all.pages()), top.cause.phrase())),
        few_ghosts(&of_cause),
        line(&of_cause),
        objects(&of_cause),
    ];
    let sentence = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    Some(sentence + &unexplained(&causes, all.pages()))
}

/// Where most of these pages were given new data later, their first writer was not what they cost.
fn few_ghosts(of_cause: &Ranking) -> Option<String> {
    let (pages, ghosts) = (of_cause.pages(), of_cause.ghosts());
    (ghosts * 2 < pages).then(|| {
        format!("yet only {} of them ghosts: most hold new data by now", shown_percent(ghosts, pages))
    })
}

fn line(of_cause: &Ranking) -> Option<String> {
    let lines = of_cause.by_line();
    let top = lines.iter().find(|row| row.place.is_some())?;
    if top.pages * 100 < of_cause.pages() * WORTH_A_NAME {
        let known = lines.iter().filter(|row| row.place.is_some()).count();
        return Some(format!("first written on {}", counted(known, "line")));
    }
    let share = if top.pages * 100 >= of_cause.pages() * NEARLY_ALL {
        String::new()
    } else {
        format!(" ({} of them)", shown_percent(top.pages, of_cause.pages()))
    };
    Some(format!("first written by {}{share}", clipped(&top.name, LONGEST_NAME)))
}

fn objects(of_cause: &Ranking) -> Option<String> {
    let known = of_cause.only(|row| of_cause.breaks.types.get(row.ty as usize).is_some());
    let types: Vec<String> = known
        .by_type()
        .into_iter()
        .filter(|row| row.pages * 100 >= of_cause.pages() * WORTH_NAMING)
        .take(MOST_TYPES)
        .map(|row| clipped(&row.name, LONGEST_NAME))
        .collect();
    let owner = of_cause
        .common_owner()
        .filter(|row| !row.path.starts_with(NO_MODULE))
        .map(|row| clipped(&row.path, LONGEST_NAME));
    match (types.is_empty(), owner) {
        (false, Some(owner)) => Some(format!("in {} objects owned by {owner}", listed(&types))),
        (false, None) => Some(format!("in {} objects", listed(&types))),
        (true, Some(owner)) => Some(format!("in what {owner} owns")),
        (true, None) => None,
    }
}

fn unexplained(causes: &[Ranked], pages: u64) -> String {
    match causes.iter().find(|row| row.cause == Cause::Unexplained) {
        Some(row) if row.pages * 100 >= pages * WORTH_NAMING => {
            format!("; {} unexplained", shown_percent(row.pages, pages))
        }
        _ => String::new(),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
