//! Every rule on programs that call for its remedy and on programs that do not, all of them measured.

#[path = "../common/bench.rs"]
mod bench;
mod pages;
mod servers;
#[path = "../common/skip.rs"]
mod skip;
#[path = "../common/witness.rs"]
mod witness;
mod workloads;

use forkprint::advise::rules::{Evidence, Judgement, RULES};
use std::collections::BTreeMap;

/// What every rule says of a program.
type Judged = BTreeMap<&'static str, Judgement>;

fn judge(evidence: &Evidence<'_>) -> Judged {
    RULES.iter().map(|rule| (rule.code, (rule.judge)(evidence))).collect()
}

/// The codes of the rules that apply.
fn applying(judged: &Judged) -> Vec<&'static str> {
    let applies = |judgement: &Judgement| matches!(judgement, Judgement::Applies { .. });
    judged.iter().filter(|(_, judgement)| applies(judgement)).map(|(code, _)| *code).collect()
}

/// Exactly these rules apply, and all say why or why not.
fn assert_applying(judged: &Judged, expected: &[&str]) {
    assert_eq!(applying(judged), expected, "{judged:#?}");
    for (code, judgement) in judged {
        let (Judgement::Applies { evidence: why, .. } | Judgement::DoesNot(why)) = judgement;
        assert!(why.len() > 15, "{code} says only '{why}'");
    }
}

/// The evidence of a rule that applies.
fn evidence<'a>(judged: &'a Judged, code: &str) -> &'a str {
    match &judged[code] {
        Judgement::Applies { evidence, .. } => evidence,
        Judgement::DoesNot(why) => panic!("{code} does not apply: {why}"),
    }
}

/// The reason of a rule that does not apply.
fn reason<'a>(judged: &'a Judged, code: &str) -> &'a str {
    match &judged[code] {
        Judgement::DoesNot(why) => why,
        Judgement::Applies { evidence, .. } => panic!("{code} applies: {evidence}"),
    }
}

/// The first number of MiB in a text.
fn mebibytes(text: &str) -> f64 {
    let (before, _) = text.split_once(" MiB").unwrap_or_else(|| panic!("no MiB in: {text}"));
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Every rule applies to one program at least, and fails to apply to another.
#[test]
fn every_rule_is_put_to_the_test_both_ways() {
    let calls_for: Vec<&str> =
        workloads::EXPECTED.iter().flat_map(|(_, codes)| *codes).chain(servers::EXPECTED).copied().collect();
    for rule in RULES {
        assert!(calls_for.contains(&rule.code), "no program calls for {}", rule.code);
        let spared = workloads::EXPECTED.iter().any(|(_, codes)| !codes.contains(&rule.code));
        assert!(spared, "every program calls for {}", rule.code);
    }
}
