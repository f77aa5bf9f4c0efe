//! `forkprint bench fork`: structure, and what must grow with the size of a process.

#[path = "common/bench.rs"]
mod bench;

use bench::Bench;
use serde_json::Value;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

#[test]
fn forks_get_dearer_with_every_page_and_spawning_does_not() {
    let bench = Bench::new();
    let cost = bench
        .forkprint(&["bench", "fork", "--max-size", "256MiB", "--rounds", "7", "--format", "json"])
        .success();
    assert_eq!(cost["schema_version"], 1);
    let points: Vec<&Value> =
        cost["points"].as_array().unwrap().iter().filter(|point| point["huge"] == false).collect();
    let sizes: Vec<u64> = points.iter().map(|point| number(&point["bytes"]) >> 20).collect();
    assert_eq!(sizes, [4, 8, 16, 32, 64, 128, 256]);
    let (small, large) = (points[0], points[6]);
    // 8 bytes of page tables a page of 4096, and as much for every page of the fork's child.
    let grew = number(&large["page_table_bytes"]) - number(&small["page_table_bytes"]);
    let expected = (252 << 20) / 4096 * 8;
    assert!(grew.abs_diff(expected) * 20 <= expected, "{grew} bytes, {expected} expected");
    let median = |point: &Value, call: &str| number(&point[call]["median"]);
    assert!(median(large, "fork_call") > 4 * median(small, "fork_call"), "{cost}");
    assert!(median(large, "fork_exec") > median(large, "posix_spawn"), "{cost}");
    let line = &cost["small_pages"];
    assert!(line["slope"].as_f64().unwrap() > 0.0 && line["r_squared"].as_f64().unwrap() > 0.5, "{line}");
    for point in cost["points"].as_array().unwrap() {
        for call in
            ["fork_call", "fork_exit", "fork_exec", "vfork_exec", "clone_exec", "posix_spawn", "copy_fault"]
        {
            let spread = &point[call];
            let (low, high) = (number(&spread["low"]), number(&spread["high"]));
            assert!(0 < low && low <= median(point, call) && median(point, call) <= high, "{call}: {spread}");
        }
    }
    assert!(!cost["advice"].as_array().unwrap().is_empty());
}

#[test]
fn the_report_is_text_or_one_page() {
    let bench = Bench::new();
    let words = ["bench", "fork", "--max-size", "8MiB", "--rounds", "2"];
    let text = bench.forkprint(&words);
    assert!(text.status.success(), "{}", text.stderr);
    assert!(text.stdout.contains("posix_spawn") && text.stdout.contains("8.0 MiB"), "{}", text.stdout);
    let page = bench.forkprint(&[&words[..], &["-o", "fork.html"]].concat());
    assert!(page.status.success(), "{}", page.stderr);
    let html = std::fs::read_to_string(bench.path("fork.html")).unwrap();
    assert!(html.contains("<svg") && !html.contains("<script"), "{html}");
}

#[test]
fn what_cannot_be_measured_is_told() {
    let bench = Bench::new();
    for (words, said) in [
        (&["--max-size", "1KiB"], "4.0 MiB"),
        (&["--max-size", "900TiB"], "available"),
        (&["--max-size", "huge"], "80MiB"),
        (&["--rounds", "0"], "1..="),
        (&["--program", "/no/such/program"], "No such file"),
    ] {
        let outcome = bench.forkprint(&[&["bench", "fork"][..], words].concat());
        assert_eq!(outcome.status.code(), Some(2), "{words:?}: {}", outcome.stdout);
        assert!(outcome.stderr.contains(said), "{words:?}: {}", outcome.stderr);
    }
}
