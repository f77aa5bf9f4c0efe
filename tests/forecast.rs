//! `forkprint forecast` as its users meet it: what it prints, and what it refuses.

use serde_json::Value;
use std::fs;

#[path = "common/bench.rs"]
mod bench;

use bench::{Bench, Outcome};

/// A workload of so many steps, each of which reads another part of a list.
fn capture(bench: &Bench, name: &str, workers: &str, steps: u32) -> String {
    let mut text = "import forkprint\nnames = [f\"name-{n}\" for n in range(40_000)]\n".to_owned();
    for step in 0..steps {
        let (first, last) = (step * 2_000, (step + 1) * 2_000);
        text += &format!(
            "\n@forkprint.step\ndef part_{step}():\n    for name in names[{first}:{last}]:\n        pass\n"
        );
    }
    fs::write(bench.path(&format!("{name}.py")), text).unwrap();
    let (file, folder) = (format!("{name}.py"), format!("{name}.forkprint"));
    let outcome = bench.forkprint(&["run", &file, "-w", workers, "--witness", "none", "--capture", &folder]);
    assert!(outcome.status.success(), "{}", outcome.stderr);
    folder
}

fn refused(outcome: &Outcome) -> &str {
    assert_eq!(outcome.status.code(), Some(2), "{outcome:?}");
    &outcome.stderr
}

#[test]
fn families_grow_with_their_workers_and_intervals_hold_estimates() {
    let bench = Bench::new();
    let folder = capture(&bench, "steady", "2", 8);
    let outcome =
        bench.forkprint(&["forecast", &folder, "-w", "1..6", "--limit", "1GiB", "--format", "json"]);
    let found: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let families = found["families"].as_array().unwrap();
    let sizes: Vec<f64> =
        families.iter().map(|family| family["distinct"]["estimate"].as_f64().unwrap()).collect();
    assert_eq!(sizes.len(), 6);
    assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]), "{sizes:?}");
    for family in families {
        let part = |name: &str| family["distinct"][name].as_f64().unwrap();
        assert!(part("low") <= part("estimate") && part("estimate") <= part("high"), "{family}");
        assert!(part("estimate") < family["unshared"].as_f64().unwrap());
    }
    assert_eq!(found["fitted"]["age_unit"], "steps");
    assert_eq!(found["fitted"]["snapshots"], 8);
    let fit = found["budget"]["workers"].as_array().unwrap();
    assert!(fit[0].as_u64() <= fit[1].as_u64() && fit[1].as_u64() <= fit[2].as_u64(), "{fit:?}");

    let text = bench.forkprint(&["forecast", &folder, "-w", "6"]).stdout;
    assert!(text.starts_with("6 workers will hold "), "{text}");
    let page = bench.forkprint(&["forecast", &folder, "-w", "1..6", "-o", "forecast.html"]);
    assert!(page.status.success(), "{}", page.stderr);
    assert!(fs::read_to_string(bench.path("forecast.html")).unwrap().contains("<svg"));
}

#[test]
fn a_capture_too_short_says_how_much_more_is_needed() {
    let bench = Bench::new();
    let folder = capture(&bench, "short", "2", 1);
    let outcome = bench.forkprint(&["forecast", &folder]);
    let said = refused(&outcome);
    assert!(said.contains("too short to forecast from"), "{said}");
    assert!(said.contains("1 snapshot after the fork") && said.contains("2 more"), "{said}");
    assert!(said.contains("fix:"), "{said}");
}

#[test]
fn nonsense_is_refused_in_words() {
    let bench = Bench::new();
    let folder = capture(&bench, "one", "1", 4);
    for (arguments, expected) in [
        (vec!["-w", "0"], "not between 1 and"),
        (vec!["-w", "9..3"], "begins at 9"),
        (vec!["--age=-1"], "is no age"),
        (vec!["--limit", "plenty"], "is not a size"),
        (vec!["--limit", "0"], "no worker fits"),
    ] {
        let outcome = bench.forkprint(&[&["forecast", folder.as_str()], &arguments[..]].concat());
        assert!(refused(&outcome).contains(expected), "{arguments:?}: {}", outcome.stderr);
    }
    let missing = bench.forkprint(&["forecast", "missing.forkprint"]);
    assert!(refused(&missing).contains("missing.forkprint"), "{}", missing.stderr);
    let other = capture(&bench, "another", "1", 4);
    let mixed = bench.forkprint(&["forecast", &folder, &other]);
    assert!(refused(&mixed).contains("different programs"), "{}", mixed.stderr);

    let alone = bench.forkprint(&["forecast", &folder]).stdout;
    assert!(alone.contains("one worker was measured"), "{alone}");
}
