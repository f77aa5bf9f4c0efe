//! FP010: data that is only read, without a reference count for every value.

use super::measured::Measured;
use super::{Evidence, Judgement, Rule};
use crate::family::cause::Cause;
use crate::report::ranking::Ranked;
use crate::units::Bytes;

pub(super) static RULE: Rule = Rule {
    code: "FP010",
    title: "Pack data that is only read",
    summary: "Keeps many small values in one buffer (array, numpy, one bytes object with offsets) instead of one object each: a buffer has no reference counts to write.",
    caveats: &[
        "values become objects again when they are read: worth it for data that is scanned or looked up, not for data passed around",
        "only a person can make this change; measure again after it",
    ],
    judge,
};

/// A container is worth packing from this share of all broken pages on, in percent.
const LEAST_SHARE: f64 = 5.0;

fn judge(evidence: &Evidence<'_>) -> Judgement {
    let measured = match Measured::witnessed(evidence) {
        Ok(measured) => measured,
        Err(why) => return Judgement::DoesNot(why),
    };
    let counted = measured.of_cause(Cause::Refcount);
    let owners = counted.by_owner();
    let worth = |row: &&Ranked| {
        row.name.contains("[*]")
            && row.share >= LEAST_SHARE
            && measured.matters(measured.per_worker(row.ghosts))
            && 2 * row.ghosts > row.pages
    };
    // Rows come with most pages first, so the outermost container of many items is found.
    let Some(row) = owners.iter().find(worth) else {
        return Judgement::does_not(
            "no list or dict of many small objects stands out among what reference counts broke for nothing",
        );
    };
    let container = row.name.split("[*]").next().unwrap_or(&row.name);
    let breaks = &evidence.recording.breaks;
    let items = counted.only(|row| {
        let path = breaks.owner_path(row.owner);
        path.strip_prefix(container).is_some_and(|rest| rest.starts_with("[*]"))
    });
    let types = items.by_type();
    let main = types.first().map_or("object", |first| first.name.as_str());
    Judgement::by_hand(format!(
        "the items of {container} (mostly {main}) cost {} in each of {}, {} of it ghosts{}; {}: expect up to {} less in the family",
        Bytes::of_pages(measured.per_worker(items.pages())),
        measured.workers_shown(),
        Bytes::of_pages(measured.per_worker(items.ghosts())),
        Measured::most_at(&items),
        packed(main),
        Bytes::of_pages(items.ghosts())
    ))
}

/// What to keep instead of objects of a type.
fn packed(ty: &str) -> &'static str {
    match ty {
        "int" => "keep them as array.array('q') or a numpy array",
        "float" => "keep them as array.array('d') or a numpy array",
        "str" | "bytes" => {
            "keep them as one bytes object with an array.array('Q') of offsets, or in a pyarrow or numpy array of strings"
        }
        "tuple" | "list" | "dict" => {
            "keep one array.array or numpy array a column instead of one object a row"
        }
        _ => "keep one array.array or numpy array an attribute instead of one object an item",
    }
}
