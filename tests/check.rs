//! `forkprint check` on captures of small runs whose number of dirtied pages is known.

#[path = "common/bench.rs"]
mod bench;

use bench::{Bench, Outcome};
use forkprint::capture;
use serde_json::Value;

const PAGE: u64 = 4096;

/// A program that dirties exactly so many pages, whose bytes are then new or those they were.
fn source(new: u64, same: u64) -> String {
    format!(
        "import forkprint, mmap\nPAGE = 4096\nmemory = mmap.mmap(-1, 1000 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\nmemory[:] = b'1' * len(memory)\n\n@forkprint.step\ndef write():\n    for page in range({new}):\n        memory[page * PAGE] = 50\n    for page in range({new}, {new} + {same}):\n        memory[page * PAGE] = 49\n"
    )
}

fn measured(bench: &Bench, name: &str, source: &str, workers: &str) -> String {
    let program = bench.path(&format!("{name}.py"));
    std::fs::write(&program, source).unwrap();
    let folder = format!("{name}.forkprint");
    let run = bench.forkprint(&["run", program.to_str().unwrap(), "-w", workers, "--capture", &folder]);
    assert!(run.status.success(), "{}", run.stderr);
    folder
}

fn code(outcome: &Outcome) -> i32 {
    outcome.status.code().unwrap()
}

/// What the capture itself says that the step broke in the worst worker, in pages.
fn worst(bench: &Bench, folder: &str) -> u64 {
    let recording = capture::read(&bench.path(folder)).unwrap();
    recording.steps.iter().flat_map(|step| &step.workers).map(|worker| worker.broken).max().unwrap()
}

fn checks(outcome: &Outcome) -> Vec<Value> {
    outcome.json()["checks"].as_array().unwrap().clone()
}

#[test]
fn a_limit_is_exceeded_by_one_byte_and_not_by_none() {
    let bench = Bench::new();
    let folder = measured(&bench, "program", &source(300, 200), "2");
    let broken = worst(&bench, &folder);
    // The program's own pages are exact; starting a worker and running a step cost some more.
    assert!((500..700).contains(&broken), "{broken}");
    let with = |limit: u64| bench.forkprint(&["check", &folder, "--max-broken", &limit.to_string()]);
    let allowed = with(broken * PAGE);
    assert_eq!(code(&allowed), 0, "{}", allowed.stderr);
    assert!(allowed.stdout.starts_with("ok "), "{}", allowed.stdout);
    let exceeded = with(broken * PAGE - 1);
    assert_eq!(code(&exceeded), 1);
    for part in ["EXCEEDED", "after 'write'", "worker ", "most of it in "] {
        assert!(exceeded.stdout.contains(part), "{part} in {}", exceeded.stdout);
    }
    let ghosts =
        bench.forkprint(&["check", &folder, "--max-ghost", "0", "--step", "write", "--format", "json"]);
    assert_eq!(code(&ghosts), 1);
    let measured = checks(&ghosts)[0]["measured_bytes"].as_u64().unwrap() / PAGE;
    assert!((200..400).contains(&measured), "{measured}");
}

#[test]
fn a_baseline_finds_what_got_worse_and_nothing_in_itself() {
    let bench = Bench::new();
    let before = measured(&bench, "before", &source(300, 0), "1");
    let after = measured(&bench, "after", &source(600, 0), "1");
    let compare = |now: &str, then: &str, tolerance: &str| {
        bench.forkprint(&["check", now, "--baseline", then, "--tolerance", tolerance, "--format", "json"])
    };
    assert_eq!(code(&compare(&before, &before, "0%")), 0);
    assert_eq!(code(&compare(&before, &after, "0%")), 0, "less is no regression");
    assert_eq!(code(&compare(&after, &before, "300%")), 0);
    let worse = compare(&after, &before, "10%");
    assert_eq!(code(&worse), 1);
    let exceeded: Vec<_> = checks(&worse).into_iter().filter(|check| check["exceeded"] == true).collect();
    let named = |check: &Value| {
        (check["measure"].as_str().unwrap().to_owned(), check["step"].as_str().unwrap().to_owned())
    };
    let broken = exceeded.iter().find(|check| named(check) == ("broken".into(), "write".into())).unwrap();
    let grew = broken["measured_bytes"].as_u64().unwrap() - broken["baseline_bytes"].as_u64().unwrap();
    assert!((grew / PAGE).abs_diff(300) <= 32, "{grew}");
    assert!(exceeded.iter().all(|check| check["step"] == "write"), "{exceeded:?}");
}

#[test]
fn a_step_without_a_counterpart_is_an_error() {
    let bench = Bench::new();
    let before = measured(&bench, "before", &source(10, 0), "1");
    let after = measured(&bench, "after", &source(10, 0).replace("def write", "def renamed"), "1");
    let outcome = bench.forkprint(&["check", &after, "--baseline", &before]);
    assert_eq!(code(&outcome), 2);
    assert!(outcome.stderr.contains("'write'"), "{}", outcome.stderr);
    let outcome = bench.forkprint(&["check", &after, "--baseline", &before, "--step", "fork"]);
    assert_eq!(code(&outcome), 0, "{}{}", outcome.stdout, outcome.stderr);
}

#[test]
fn a_recording_in_which_a_worker_failed_is_refused() {
    let bench = Bench::new();
    let program = bench.path("fails.py");
    std::fs::write(
        &program,
        "import forkprint\n\n@forkprint.step\ndef fail():\n    raise ValueError('no')\n",
    )
    .unwrap();
    bench.forkprint(&["run", program.to_str().unwrap(), "-w", "1", "--capture", "fails.forkprint"]);
    let arguments = ["check", "fails.forkprint", "--max-broken", "1GiB"];
    let outcome = bench.forkprint(&arguments);
    assert_eq!(code(&outcome), 2);
    assert!(outcome.stderr.contains("--allow-incomplete"), "{}", outcome.stderr);
    let allowed = bench.forkprint(&[&arguments[..], &["--allow-incomplete"]].concat());
    assert_eq!(code(&allowed), 0, "{}", allowed.stderr);
    assert!(allowed.stdout.contains("note: not complete"), "{}", allowed.stdout);
}

#[test]
fn github_gets_annotations_for_what_failed_and_only_there() {
    let bench = Bench::new().adjusted(|command| {
        command.env("GITHUB_ACTIONS", "true");
    });
    let folder = measured(&bench, "program", &source(300, 0), "1");
    let exceeded = bench.forkprint(&["check", &folder, "--max-broken", "1MiB", "--max-fresh", "1GiB"]);
    assert_eq!(code(&exceeded), 1);
    let commands: Vec<_> = exceeded.stdout.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(commands.len(), 1, "{}", exceeded.stdout);
    assert!(commands[0].starts_with("::error title=forkprint%3A broken exceeded::"), "{}", commands[0]);
    assert!(commands[0].contains("%0Amost of it in "), "{}", commands[0]);
    let allowed = bench.forkprint(&["check", &folder, "--max-broken", "1GiB"]);
    assert!(!allowed.stdout.contains("::"), "{}", allowed.stdout);
    let plain = bench.forkprint(&["check", &folder, "--max-broken", "1MiB", "--format", "text"]);
    assert!(!plain.stdout.contains("::error"), "{}", plain.stdout);
    let unreadable = bench.forkprint(&["check", "no.forkprint", "--max-broken", "1MiB"]);
    assert_eq!(code(&unreadable), 2);
    assert!(unreadable.stderr.contains("::error title=forkprint%3A cannot check::"), "{}", unreadable.stderr);
}

#[test]
fn bad_usage_is_told_with_exit_code_2() {
    let bench = Bench::new();
    let folder = measured(&bench, "program", &source(1, 0), "1");
    for (words, said) in [
        (&[][..], "--max-broken"),
        (&["--max-broken", "5 parsecs"], "20MiB or 5%"),
        (&["--max-broken", "-1%"], ""),
        (&["--tolerance", "5%", "--max-broken", "1"], "--baseline"),
        (&["--step", "nothing", "--max-broken", "1"], "fork, write"),
        (&["--baseline", "no.forkprint"], "no.forkprint"),
    ] {
        let outcome = bench.forkprint(&[&["check", folder.as_str()], words].concat());
        assert_eq!(code(&outcome), 2, "{words:?}: {}", outcome.stdout);
        assert!(outcome.stderr.contains(said), "{words:?}: {}", outcome.stderr);
    }
}
