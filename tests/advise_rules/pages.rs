//! The pages of the remedies: one for each rule, none without, and all say the same of it.

use forkprint::advise::rules::{RULES, list};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A finding on a configuration that no experiment can prove: the setting has no effect at all.
const FINDINGS_ONLY: &str = "FP014";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_rule_has_its_page_and_every_page_its_rule() {
    let pages = fs::read_dir(root().join("docs/remedies")).unwrap();
    let names: BTreeSet<String> =
        pages.map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    let mut expected: BTreeSet<String> = RULES.iter().map(|rule| format!("{}.md", rule.code)).collect();
    expected.insert("README.md".into());
    assert_eq!(names, expected);
}

#[test]
fn pages_and_index_say_what_the_rules_say() {
    let index = fs::read_to_string(root().join("docs/remedies/README.md")).unwrap();
    for (listed, rule) in list().into_iter().zip(RULES) {
        let page = fs::read_to_string(root().join(&listed.page)).unwrap();
        assert!(page.starts_with(&format!("# {}: {}\n", rule.code, rule.title)), "{}", listed.page);
        assert!(index.contains(&format!("| [{0}]({0}.md) | {1} |", rule.code, rule.title)), "{}", rule.code);
        for caveat in rule.caveats {
            assert!(page.contains(&format!("- {caveat}\n")), "{} has no '{caveat}'", listed.page);
        }
        for section in ["## Symptom", "## Why", "## Condition", "## Change", "## Caveats", "## Try it"] {
            assert!(page.contains(section), "{} has no {section}", listed.page);
        }
    }
}

#[test]
fn codes_are_in_order_and_used_once() {
    let codes: Vec<&str> = RULES.iter().map(|rule| rule.code).collect();
    let numbered: Vec<String> = (1..=RULES.len() + 1).map(|number| format!("FP{number:03}")).collect();
    let expected: Vec<&String> = numbered.iter().filter(|code| *code != FINDINGS_ONLY).collect();
    assert!(codes.iter().eq(expected.iter()), "{codes:?}");
}

/// What `analyze` finds in a configuration has the code of the remedy for it.
#[test]
fn findings_on_configurations_have_codes_of_rules() {
    let lint = fs::read_to_string(root().join("src/servers/gunicorn/lint.rs")).unwrap();
    let code = lint.split("#[cfg(test)]").next().unwrap();
    let found: BTreeSet<&str> = code
        .match_indices("\"FP")
        .map(|(at, _)| &code[at + 1..at + 6])
        .filter(|code| *code != FINDINGS_ONLY)
        .collect();
    assert!(found.len() >= 6, "{found:?}");
    let rules: BTreeSet<&str> = RULES.iter().map(|rule| rule.code).collect();
    assert!(found.is_subset(&rules), "{found:?}");
}
