//! Which variants of a program to try: every remedy alone, then combinations that look useful.

use super::patch::Source;
use super::rules::{Change, Edit, Rule, contained_in, place_in_hook};
use crate::error::Result;
use crate::variant::{self, Variant};
use std::collections::BTreeSet;

/// A remedy that applies and that a program can carry out.
#[derive(Debug, Clone)]
pub struct Remedy {
    /// The rule it comes from.
    pub rule: &'static Rule,
    /// What to change.
    pub change: Change,
}

/// The remedy that gives workers something to inherit.
pub const PRELOAD: &str = "FP001";

/// Remedies that build on each other: what the master holds, then its collector, its counts, its
/// caches, and what requests still change.
const LADDER: [&str; 5] = [PRELOAD, "FP002", "FP003", "FP004", "FP005"];

/// More combinations than these are not tried: each costs as many runs as a remedy alone.
const MOST_COMBINATIONS: usize = 6;

/// A set of remedies, in the order of their codes.
pub type Codes = BTreeSet<&'static str>;

/// What people call a set of remedies.
pub fn name(codes: &Codes) -> String {
    if codes.is_empty() { "today".into() } else { codes.iter().copied().collect::<Vec<_>>().join(" + ") }
}

/// A set of remedies and those that are part of them.
pub fn all_in(codes: &Codes) -> Codes {
    codes.iter().flat_map(|code| contained_in(code).iter().chain([code])).copied().collect()
}

/// A set of remedies without those that are part of others in it.
fn without_contained(mut codes: Codes) -> Codes {
    let contained: Codes = codes.iter().flat_map(|code| contained_in(code)).copied().collect();
    codes.retain(|code| !contained.contains(code));
    codes
}

/// The program with a set of remedies; their edits are combined in the order that hooks want.
pub fn variant(source: &Source, remedies: &[Remedy], codes: &Codes) -> Result<Variant> {
    let found = |code: &&str| remedies.iter().find(|remedy| remedy.rule.code == *code);
    let mut chosen: Vec<&Remedy> = codes.iter().filter_map(found).collect();
    chosen.sort_by_key(|remedy| place_in_hook(remedy.rule.code));
    let edits: Vec<Edit> = chosen.iter().flat_map(|remedy| remedy.change.edits.iter().cloned()).collect();
    let text = if edits.is_empty() { None } else { Some(source.edited(&edits)?) };
    let mut environment: Vec<(String, String)> = Vec::new();
    for (name, value) in chosen.iter().flat_map(|remedy| &remedy.change.environment) {
        match environment.iter_mut().find(|(earlier, _)| earlier == name) {
            // Several libraries may be preloaded; of any other variable the last value counts.
            Some((_, list)) if name == variant::PRELOAD && list != value => {
                list.push(':');
                list.push_str(value);
            }
            Some((_, earlier)) => value.clone_into(earlier),
            None => environment.push((name.clone(), value.clone())),
        }
    }
    Ok(Variant { text, environment })
}

/// Combinations to try of remedies that work alone, each with what it gave back in a first run.
///
/// The steps of the ladder one upon the other, and the remedies that gave back most, one after the other.
pub fn combinations(works: &[(&'static str, f64)], worthwhile: f64) -> Vec<Codes> {
    let ladder = LADDER.into_iter().filter(|code| works.iter().any(|(works, _)| works == code));
    let mut best: Vec<&(&'static str, f64)> =
        works.iter().filter(|(_, saving)| *saving > worthwhile).collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut found: Vec<Codes> = Vec::new();
    for codes in growing(best.into_iter().map(|(code, _)| *code)).chain(growing(ladder)) {
        let codes = without_contained(codes);
        if codes.len() > 1 && !found.contains(&codes) {
            found.push(codes);
        }
    }
    found.truncate(MOST_COMBINATIONS);
    found.sort_by_key(BTreeSet::len);
    found
}

/// The first, the first two, the first three…
fn growing(codes: impl Iterator<Item = &'static str>) -> impl Iterator<Item = Codes> {
    codes.scan(Codes::new(), |so_far, code| {
        so_far.insert(code);
        Some(so_far.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::rules::{Evidence, Judgement};
    use std::path::Path;

    fn judge(_: &Evidence<'_>) -> Judgement {
        Judgement::DoesNot(String::new())
    }

    static RULES: [Rule; 2] = [
        Rule { code: "FP005", title: "", summary: "", caveats: &[], judge },
        Rule { code: "FP006", title: "", summary: "", caveats: &[], judge },
    ];

    #[test]
    fn combinations_are_the_ladder_and_the_best_ones_together() {
        let works = [("FP002", 1.0), ("FP004", 90.0), ("FP005", 0.0), ("FP006", 20.0), ("FP008", 2.0)];
        let found: Vec<String> = combinations(&works, 5.0).iter().map(name).collect();
        assert_eq!(found, ["FP004 + FP006", "FP002 + FP004", "FP002 + FP004 + FP005"]);
        assert!(combinations(&[("FP003", 9.0)], 1.0).is_empty());
        let many: Vec<(&'static str, f64)> =
            ["FP006", "FP007", "FP008", "FP009", "FP010", "FP011", "FP013", "FP001", "FP002", "FP003"]
                .map(|code| (code, 9.0))
                .to_vec();
        assert_eq!(combinations(&many, 1.0).len(), MOST_COMBINATIONS);
    }

    #[test]
    fn what_is_part_of_another_remedy_is_not_tried_beside_it() {
        let works = [("FP002", 9.0), ("FP003", 90.0), ("FP004", 0.0), ("FP006", 20.0)];
        let found: Vec<String> = combinations(&works, 5.0).iter().map(name).collect();
        assert_eq!(found, ["FP003 + FP006"]);
        assert_eq!(name(&all_in(&Codes::from(["FP003"]))), "FP002 + FP003 + FP004");
    }

    #[test]
    fn a_variant_has_the_edits_and_variables_of_all_its_remedies() {
        let remedy = |index: usize, library: &str, value: &str| Remedy {
            rule: &RULES[index],
            change: Change {
                edits: vec![Edit::Set { name: if index == 0 { "a" } else { "b" }, value: value.into() }],
                environment: vec![(variant::PRELOAD.into(), library.into()), ("MODE".into(), value.into())],
            },
        };
        let source = Source::read("a = 0\n".into(), Path::new("python3")).unwrap();
        let remedies = [remedy(1, "y.so", "2"), remedy(0, "x.so", "1")];
        let both = super::variant(&source, &remedies, &Codes::from(["FP006", "FP005"])).unwrap();
        assert_eq!(both.text.as_deref(), Some("a = 1\n\nb = 2\n"));
        assert_eq!(
            both.environment,
            [(variant::PRELOAD.into(), "x.so:y.so".into()), ("MODE".into(), "2".into())]
        );
        assert!(variant(&source, &remedies, &Codes::new()).unwrap().is_unchanged());
    }
}
