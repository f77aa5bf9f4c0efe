//! Forecasts held to what really happens: fitted to the first tenth of the requests of two workers, they
//! must tell what eight workers hold at the end.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "common/bench.rs"]
mod bench;
#[path = "common/skip.rs"]
mod skip;

use bench::{Bench, Outcome};
use skip::skip;

/// Requests of the long run; the short one has a tenth.
const REQUESTS: u32 = 2000;
const FAMILY: u32 = 8;

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/servers").join(name).join("gunicorn.conf.py")
}

/// The load of a server, for so many requests and looks.
fn load(bench: &Bench, server: &str, count: u32, milestones: &[u32]) -> String {
    let file = config(server).with_file_name("load.toml");
    let text: String = fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|line| match line.split(' ').next() {
            Some("count") => format!("count = {count}\n"),
            Some("milestones") => format!("milestones = {milestones:?}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let path = bench.path(&format!("load-{count}.toml"));
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Measures a server; gives distinct bytes of the family at the end.
fn measure(bench: &Bench, server: &str, workers: u32, load: &str, capture: &str) -> f64 {
    let python = std::env::var("FORKPRINT_TEST_PYTHON").unwrap();
    let (config, workers) = (config(server).display().to_string(), workers.to_string());
    let outcome = bench.forkprint(&[
        "analyze",
        &config,
        "--load",
        load,
        "--python",
        &python,
        "-w",
        &workers,
        "--witness",
        "none",
        "--capture",
        capture,
        "--format",
        "json",
    ]);
    distinct_bytes(&outcome)
}

/// Distinct bytes of the family at the end of a measurement.
fn distinct_bytes(outcome: &Outcome) -> f64 {
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let found: Value = serde_json::from_str(&outcome.stdout).unwrap();
    found["family"]["distinct_frames"].as_f64().unwrap() * 4096.0
}

fn forecast(bench: &Bench, capture: &str, workers: u32, age: f64) -> Value {
    let (workers, age) = (workers.to_string(), age.to_string());
    let outcome = bench.forkprint(&["forecast", capture, "-w", &workers, "--age", &age, "--format", "json"]);
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let found: Value = serde_json::from_str(&outcome.stdout).unwrap();
    found["families"][0]["distinct"].clone()
}

fn needs_gunicorn() -> bool {
    if std::env::var_os("FORKPRINT_TEST_PYTHON").is_none() {
        skip("no interpreter with gunicorn: set FORKPRINT_TEST_PYTHON");
        return false;
    }
    true
}

#[track_caller]
fn a_tenth_foretells_the_end(server: &str) {
    if !needs_gunicorn() {
        return;
    }
    let bench = Bench::new();
    let looks = [1, 2, 4, 8, 16, 30, 50, 80, 120, 160];
    let short = load(&bench, server, REQUESTS / 10, &looks);
    measure(&bench, server, 2, &short, "short.forkprint");
    let long = load(&bench, server, REQUESTS, &[REQUESTS]);
    let truth = measure(&bench, server, FAMILY, &long, "long.forkprint");
    let distinct = forecast(&bench, "short.forkprint", FAMILY, f64::from(REQUESTS / FAMILY));
    let off = distinct["estimate"].as_f64().unwrap() / truth - 1.0;
    println!("{server}: {:+.2} %, interval {} of {truth}", 100.0 * off, distinct);
    assert!(off.abs() < 0.05, "{server}: off by {:+.1} %: {distinct} for {truth}", 100.0 * off);
}

#[test]
fn a_shop_that_soon_has_broken_all_it_will() {
    a_tenth_foretells_the_end("gunicorn_shop");
}

#[test]
fn a_wiki_whose_curve_has_no_end() {
    a_tenth_foretells_the_end("gunicorn_wiki");
}

#[test]
fn a_price_list_that_writes_and_grows() {
    a_tenth_foretells_the_end("gunicorn_memo");
}

/// Strings in a list, of which each step of each worker reads some at random.
fn reads(steps: u32) -> String {
    let mut text = "\
import forkprint, os, random

names = [f\"name-{number:07d}\" for number in range(60_000)]

def read():
    random.seed(os.urandom(8))
    for _ in range(60):
        name = names[random.randrange(len(names))]
"
    .to_owned();
    for step in 1..=steps {
        text += &format!("\n@forkprint.step\ndef read_{step}():\n    read()\n");
    }
    text
}

fn run(bench: &Bench, workers: &str, steps: u32, capture: &str) -> f64 {
    fs::write(bench.path("reads.py"), reads(steps)).unwrap();
    let outcome = bench.forkprint(&[
        "run",
        "reads.py",
        "-w",
        workers,
        "--witness",
        "none",
        "--capture",
        capture,
        "--format",
        "json",
    ]);
    distinct_bytes(&outcome)
}

/// Twenty times: two workers are measured for six steps, and four for twelve. The interval must hold
/// what the four then have, and still be narrow enough to say something.
#[test]
fn intervals_hold_the_truth_in_nine_of_ten_runs() {
    const RUNS: u32 = 20;
    let bench = Bench::new();
    let mut held = 0;
    for attempt in 0..RUNS {
        let young = format!("young-{attempt}.forkprint");
        run(&bench, "2", 6, &young);
        let truth = run(&bench, "4", 12, &format!("old-{attempt}.forkprint"));
        let distinct = forecast(&bench, &young, 4, 12.0);
        let part = |name: &str| distinct[name].as_f64().unwrap() / truth;
        println!("{:.3} to {:.3}, estimate {:.3}", part("low"), part("high"), part("estimate"));
        held += u32::from((part("low")..=part("high")).contains(&1.0));
        assert!(
            part("high") < 1.25 * part("low"),
            "an interval that holds everything says nothing: {distinct}"
        );
    }
    assert!(held * 10 >= RUNS * 9, "the interval held the truth in {held} of {RUNS} runs");
}
