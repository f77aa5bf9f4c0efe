//! `forkprint lab`: programs under policies, measured and predicted.

#[path = "common/bench.rs"]
mod bench;
#[path = "common/browser.rs"]
mod browser;
#[path = "common/orphans.rs"]
mod orphans;
#[path = "common/skip.rs"]
mod skip;

use bench::Bench;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::time::{Duration, Instant};

const PROGRAMS: [&str; 4] = ["--program", "closures", "--program", "gc_marks"];
const POLICIES: &str = "mark-header,mark-bitmap,mark-bitmap+off";

fn lab<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["lab"], &PROGRAMS[..], &["--policies", POLICIES], more].concat()
}

fn cell<'a>(matrix: &'a Value, program: &str, policy: &str) -> &'a Value {
    let mut cells = matrix["cells"].as_array().unwrap().iter();
    cells.find(|cell| cell["program"] == program && cell["policy"] == policy).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_small_matrix_is_measured_predicted_and_kept() {
    let bench = Bench::new();
    let outcome = bench.forkprint(&lab(&["--format", "json", "--captures", "cells"]));
    let matrix = outcome.success();
    assert_eq!((&matrix["schema_version"], &matrix["complete"]), (&1.into(), &true.into()));
    assert_eq!(matrix["cells"].as_array().unwrap().len(), 6);
    assert_eq!(matrix["failures"].as_array().unwrap().len(), 0);
    assert_eq!(matrix["programs"][1]["steps"], serde_json::json!(["iterate", "collect", "collect_again"]));

    for cell in matrix["cells"].as_array().unwrap() {
        for step in cell["steps"].as_array().unwrap() {
            let (private, predicted) = (number(&step["private"]), number(&step["predicted"]));
            let off = (private - predicted).abs();
            assert!(off <= 2.0 || off <= 0.05 * private, "{} {}: {step}", cell["program"], cell["policy"]);
            assert_eq!(private, number(&step["broken"]) + number(&step["fresh"]));
            assert!(number(&step["nanoseconds"]) > 0.0);
            let regions = step["regions"].as_array().unwrap().iter();
            let sum: f64 = regions.map(|region| number(&region["broken"]) + number(&region["fresh"])).sum();
            assert_eq!(sum, private, "the regions add up");
        }
        let capture = cell["capture"].as_str().unwrap();
        let report = bench.forkprint(&["report", capture, "--format", "json"]).success();
        assert_eq!(report["runtime"], "toy", "{capture}");
    }
    // What the policies are there to show: 16 MiB of live objects, or the bitmap's pages.
    let last = |policy| number(&cell(&matrix, "gc_marks", policy)["steps"][2]["private"]);
    assert!(last("mark-header") > 4096.0, "{}", last("mark-header"));
    assert!(last("mark-bitmap") < 100.0, "{}", last("mark-bitmap"));
    assert!(bench.path("cells/closures--mark-bitmap+off.forkprint").is_dir());
    orphans::assert_none(&bench.path(""));
}

#[test]
fn the_text_shows_every_step_under_every_policy() {
    let bench = Bench::new();
    let outcome = bench.forkprint(&lab(&[]));
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert!(!outcome.stdout.contains('\u{1b}'), "colours only on a terminal");
    let table = outcome.stdout.split_inclusive('\n').skip_while(|line| !line.starts_with("* best"));
    insta::assert_snapshot!(squeezed(&redacted(&table.collect::<String>())));
}

/// A `#` for every number: counts of pages depend on the compiler.
fn redacted(text: &str) -> String {
    let mut shown = String::new();
    let mut in_number = false;
    for c in text.chars() {
        let goes_on = c.is_ascii_digit() || (in_number && c == ',');
        if !goes_on {
            shown.push(c);
        } else if !in_number {
            shown.push('#');
        }
        in_number = goes_on;
    }
    shown
}

/// Columns stand where they stand for the widths of the counts.
fn squeezed(text: &str) -> String {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_interrupt_leaves_a_partial_matrix() {
    let bench = Bench::new();
    let many = "mark-bitmap,mark-header,mark-bitmap+off,mark-header+off";
    let all = ["lab", "--policies", many, "-j", "1", "--captures", "cells", "-o", "matrix.json"];
    let running = bench.start(&all);
    let deadline = Instant::now() + Duration::from_secs(60);
    let first = bench.path("cells");
    while !first.is_dir() {
        assert!(Instant::now() < deadline, "no cell was measured");
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(running.child.id().cast_signed()), Signal::SIGINT).unwrap();
    let outcome = running.wait();
    assert_eq!(outcome.status.code(), Some(2), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("interrupted"), "{}", outcome.stderr);
    let text = std::fs::read_to_string(bench.path("matrix.json")).unwrap();
    let matrix: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(matrix["complete"], false);
    assert!((1..20).contains(&matrix["cells"].as_array().unwrap().len()));
    orphans::assert_none(&bench.path(""));
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_measured() {
    let bench = Bench::new();
    std::fs::write(bench.path("there.html"), "").unwrap();
    for (arguments, said) in [
        (&["--policies", "mark-bitmap+fast"][..], "'fast' is no part of a policy"),
        (&["--policies", "patch+off"], "exclude each other"),
        (&["--policies", "mark-bitmap", "--gc", "copying"], "cannot be used with"),
        (&["--gc", "nothing"], "possible values: refcount, refcount-side"),
        (&["--program", "gc_mark"], "neither built in nor a .toy file"),
        (&["--program", "no.toy"], "there is no such file"),
        (&["--program", "closures", "--program", "closures"], "two programs are called"),
        (&["-w", "0"], "without workers"),
        (&["-o", "there.html"], "refusing to overwrite"),
        (&["--captures", "there.html"], "it is a file"),
    ] {
        let outcome = bench.forkprint(&[&["lab"], arguments].concat());
        assert_eq!(outcome.status.code(), Some(2), "{arguments:?}");
        assert!(outcome.stderr.contains(said), "{arguments:?}: {}", outcome.stderr);
    }
}

#[test]
fn a_program_that_fails_is_told_and_the_others_are_measured() {
    let bench = Bench::new();
    std::fs::write(bench.path("bad.toy"), "step fails { assert 1 == 2, \"never\"; }\n").unwrap();
    let arguments =
        ["lab", "--program", "bad.toy", "--program", "closures", "--gc", "mark-bitmap", "--format", "json"];
    let matrix = bench.forkprint(&arguments).success();
    assert_eq!(matrix["cells"].as_array().unwrap().len(), 1);
    assert!(matrix["failures"][0]["why"].as_str().unwrap().contains("never"), "{}", matrix["failures"]);
    let alone = bench.forkprint(&["lab", "--program", "bad.toy", "--gc", "mark-bitmap"]);
    assert_eq!(alone.status.code(), Some(2));
    assert!(alone.stderr.contains("no cell of the matrix could be measured"), "{}", alone.stderr);
}

#[test]
fn the_page_needs_nothing_else_and_says_the_verdict_first() {
    let bench = Bench::new();
    let arguments = ["lab", "--program", "closures", "--gc", "mark-bitmap,mark-header", "-o", "matrix.html"];
    let outcome = bench.forkprint(&arguments);
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let page = std::fs::read_to_string(bench.path("matrix.html")).unwrap();
    assert!(page.contains("class=\"says\"") && page.contains("class=\"map\""));
    for foreign in ["http://", "https://", "<script", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    let Some(seen) = browser::opened(&page) else { return };
    assert_eq!(seen.console, Vec::<String>::new());
    assert_eq!(seen.document.matches("class=\"scale\"").count(), 1, "the browser keeps the legend");
}

/// Every kind of policy, and what was hardest to predict: the order after compaction, cells that are used
/// again at once, steps that the zygote runs, and that compiled code keeps nothing alive that is dead.
#[test]
fn the_model_holds_where_it_is_hardest() {
    let bench = Bench::new();
    let hard = "refcount,refcount-side,refcount+freeze,copying,compacting,generational+freeze,mark-header+compact-freeze,\
                mark-bitmap+scattered,mark-bitmap+indirect,mark-bitmap+side-counters";
    let programs = ["churn", "closures", "isolation", "jit_patch"].map(|name| ["--program", name]).concat();
    let matrix = bench
        .forkprint(&[&["lab", "--format", "json", "--policies", hard], &programs[..]].concat())
        .success();
    for cell in matrix["cells"].as_array().unwrap() {
        for step in cell["steps"].as_array().unwrap() {
            let (private, predicted) = (number(&step["private"]), number(&step["predicted"]));
            let off = (private - predicted).abs();
            assert!(off <= 2.0 || off <= 0.05 * private, "{} {}: {step}", cell["program"], cell["policy"]);
        }
    }
    let in_zygote = &cell(&matrix, "isolation", "mark-bitmap+indirect")["steps"];
    assert_eq!(in_zygote[0]["predicted"], in_zygote[1]["predicted"], "the zygote's step writes nothing here");
}
