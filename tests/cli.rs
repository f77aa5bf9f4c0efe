//! The command line itself: help, doctor, completions, the manual page, and the demo's own refusals.

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

fn forkprint() -> Command {
    Command::new(env!("CARGO_BIN_EXE_forkprint"))
}

#[test]
fn every_verb_explains_itself_with_an_example() {
    for verb in ["demo", "run", "lab", "analyze", "report", "export", "toy", "doctor", "completions", "man"] {
        let shown = forkprint().args([verb, "--help"]).assert().success();
        shown.stdout(contains("Example").and(contains(format!("forkprint {verb}"))));
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for arguments in
        [&["run"][..], &["no-such-verb"], &["run", "x.py", "--rung", "guess"], &["__zygote", "{}"]]
    {
        forkprint().args(arguments).assert().code(2).stderr(contains("error"));
    }
}

#[test]
fn a_rung_that_the_verb_cannot_use_is_neither_taken_nor_listed() {
    for (verb, usable) in [
        ("run", "[possible values: sigtrap, ring, pfn, scan, exclusive]"),
        ("analyze", "[possible values: sigtrap, ring, pfn, exclusive]"),
    ] {
        for rung in ["foo", "rollup"] {
            forkprint().args([verb, "x", "--rung", rung]).assert().code(2).stderr(contains(usable));
        }
        forkprint().args([verb, "--help"]).assert().stdout(contains("rollup").not());
    }
}

#[test]
fn the_help_promises_no_verdict_that_no_verb_gives() {
    forkprint()
        .arg("--help")
        .assert()
        .success()
        .stdout(contains("threshold").not().and(contains("2 it could")));
}

#[test]
fn a_mistyped_verb_is_answered_with_the_one_that_was_meant() {
    forkprint().arg("rnu").assert().code(2).stderr(contains("'run'"));
}

#[test]
fn servers_run_in_the_active_virtual_environment() {
    let environment = tempfile::tempdir().unwrap();
    let python = environment.path().join("bin/python");
    std::fs::create_dir(environment.path().join("bin")).unwrap();
    std::fs::write(&python, "no program").unwrap();
    let analyze = |folder: &std::path::Path| {
        let mut command = forkprint();
        command.env("VIRTUAL_ENV", folder).args(["analyze", "--no-run", "/dev/null"]);
        command.output().unwrap()
    };
    let told = String::from_utf8(analyze(environment.path()).stderr).unwrap();
    assert!(told.contains(python.to_str().unwrap()), "{told}");
    let told = String::from_utf8(analyze(&environment.path().join("none")).stderr).unwrap();
    assert!(!told.contains("none/bin"), "{told}");
}

#[test]
fn doctor_names_a_rung_that_works_and_what_would_raise_it() {
    let output = forkprint().args(["doctor", "--format", "json"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rungs = told["rungs"].as_array().unwrap();
    let best = rungs.iter().find(|rung| rung["rung"] == told["best"]["run"]).unwrap();
    assert_eq!(best["works"], true);
    for rung in rungs {
        assert_eq!(rung["works"] == false, rung["raise"].is_string(), "{rung}");
    }
    forkprint().arg("doctor").assert().success().stdout(contains("Evidence, best first"));
}

#[test]
fn doctor_has_no_colours_where_there_is_no_terminal() {
    forkprint().arg("doctor").assert().success().stdout(contains("\u{1b}").not());
}

#[test]
fn completions_and_the_manual_page_name_every_verb() {
    forkprint().args(["completions", "bash"]).assert().success().stdout(contains("analyze"));
    forkprint().arg("man").assert().success().stdout(contains("forkprint\\-analyze(1)"));
    forkprint().args(["man", "analyze"]).assert().success().stdout(contains("milestones"));
    forkprint().args(["man", "juggle"]).assert().code(2).stderr(contains("no verb 'juggle'"));
}

#[test]
fn the_demo_measures_what_it_is_asked_for_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let demo = || {
        let mut command = forkprint();
        command.args(["demo", "--only", "closures", "-o"]).arg(folder.path());
        command
    };
    demo().assert().success().stderr(contains("1 report"));
    let index = std::fs::read_to_string(folder.path().join("index.html")).unwrap();
    assert!(index.contains("href=\"closures.html\""));
    assert!(std::fs::read_to_string(folder.path().join("closures.html")).unwrap().contains("closures"));
    demo().assert().code(2).stderr(contains("refusing to overwrite"));
    demo().arg("--force").assert().success();
    forkprint().args(["demo", "--only", "no such name"]).assert().code(2).stderr(contains("--export"));
}

#[test]
fn exported_workloads_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let exported = folder.path().join("workloads");
    forkprint().args(["demo", "--export"]).arg(&exported).assert().success();
    forkprint().args(["demo", "--export"]).arg(&exported).assert().code(2);
    let workload = exported.join("toy/closures.toy");
    forkprint().arg("run").arg(workload).args(["-w", "1"]).assert().success().stdout(contains("evidence: "));
}
