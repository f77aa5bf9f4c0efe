//! `forkprint advise` on the shop: it finds by itself what gives the catalogue back, and measures that this
//! is nearly all that can be given back.

#[allow(dead_code, reason = "other tests use the rest")]
mod gunicorn_project;
#[path = "common/skip.rs"]
mod skip;

use gunicorn_project::Project;
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

fn named<'a>(list: &'a Value, key: &str, name: &str) -> &'a Value {
    let found = list.as_array().unwrap().iter().find(|entry| entry[key] == name);
    found.unwrap_or_else(|| panic!("no {name}: {list:#}"))
}

/// The minor version of a runtime that calls itself `… CPython 3.13.0 …`.
fn minor(version: &str) -> u32 {
    let digits = version.split("CPython 3.").nth(1).unwrap_or_else(|| panic!("{version}"));
    digits.split('.').next().unwrap().parse().unwrap()
}

#[test]
fn the_shop_is_told_to_make_its_catalogue_immortal_and_gets_its_ghosts_back() {
    let Some(project) = Project::new() else { return };
    if minor(&project.python_version()) < 12 {
        skip::skip("nothing stops reference counts before CPython 3.12");
        return;
    }
    let before = project.copy_shop().files();
    let advice = project
        .advise(&[
            "gunicorn.conf.py",
            "--load",
            "load.toml",
            "--workers",
            "2",
            "--rounds",
            "2",
            "--only",
            "FP002,FP003",
        ])
        .success();
    assert_eq!(project.files(), before, "the user's files changed");
    project.assert_nothing_left();

    let recommended = &advice["recommended"];
    let codes = recommended["codes"].as_array().unwrap();
    assert!(codes.contains(&"FP003".into()), "{advice:#}");
    let (today, limit) = (number(&advice["waterfall"]["today"]), number(&advice["waterfall"]["limit"]));
    let ghosts = today - limit;
    // Two workers that both searched: more than half of what they inherited.
    assert!(ghosts > 100e6 && ghosts > 0.9 * today, "{:#}", advice["waterfall"]);
    assert!(number(&recommended["saving"]["low"]) >= 0.9 * ghosts, "{ghosts}: {recommended:#}");
    assert!(number(&recommended["of_ghosts"]) >= 0.9, "{recommended:#}");
    let diff = recommended["diff"].as_str().unwrap();
    assert!(diff.contains("+    forkprint.prepare_fork("), "{diff}");

    let freeze = named(&advice["variants"], "name", "FP002");
    assert_eq!(freeze["verdict"], "does_not_help", "{freeze:#}");
    assert!(!codes.contains(&"FP002".into()), "{recommended:#}");
}
