//! FP004: fill caches inside objects before the fork.

use super::measured::Measured;
use super::{Change, Evidence, Judgement, Rule, Target, source};
use crate::family::cause::Cause;

pub(super) static RULE: Rule = Rule {
    code: "FP004",
    title: "Fill hash and type caches before the fork",
    summary: "forkprint.prepare_fork() without its other parts computes string hashes, type versions and method lookups in the zygote, which stops their first writes in workers.",
    caveats: &[
        "where reference counts reach the same pages, this gives memory back only together with FP003",
        "hashing every string takes time once at the start",
    ],
    judge,
};

const WARM: [&str; 2] =
    ["import forkprint", "forkprint.prepare_fork(collect=False, freeze=False, immortal=False, trim=False)"];

fn judge(evidence: &Evidence<'_>) -> Judgement {
    if evidence.cpython().is_none() {
        return Judgement::does_not("these are caches of CPython");
    }
    let (Target::Gunicorn { text, .. } | Target::Python { text, .. }) = evidence.target;
    if let Some(line) = source::call(text, "prepare_fork") {
        return Judgement::does_not(format!("line {line} calls prepare_fork() already"));
    }
    let seen = Measured::witnessed(evidence).and_then(|measured| {
        let rows = measured.of_cause(Cause::LazyCache);
        let fields = rows.by_field();
        let seen = measured.judge(Cause::LazyCache)?;
        Ok(fields.first().map_or_else(String::new, |field| format!("{}: ", field.name)) + &seen)
    });
    seen.map_or_else(Judgement::DoesNot, |seen| {
        Judgement::applies(seen, Change::before_fork(evidence.target, &WARM))
    })
}
