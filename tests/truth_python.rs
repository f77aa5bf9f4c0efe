//! What is known beforehand of Python programs, against what the built program measures.

#[path = "common/bench.rs"]
mod bench;
#[path = "common/cross_check.rs"]
mod cross_check;
#[path = "common/skip.rs"]
mod skip;

use bench::Bench;
use serde_json::Value;

const RUNGS: [&str; 3] = ["pfn", "scan", "exclusive"];

/// Runs a made-up workload with one worker on a rung, or skips.
fn measure(bench: &Bench, source: &str, rung: &str) -> Option<Value> {
    let path = bench.path("made_up.py");
    std::fs::write(&path, source).unwrap();
    let arguments = ["run", path.to_str().unwrap(), "-w", "1", "--format", "json", "-o", "-", "--rung", rung];
    let outcome = bench.forkprint(&arguments);
    if !outcome.status.success() && outcome.stderr.contains("does not work here") {
        skip::skip(outcome.stderr.trim().replace('\n', " "));
        return None;
    }
    Some(outcome.success())
}

/// A count of the worker, and by how much it grew since the snapshot before.
fn grew(json: &Value, step: usize, count: &str) -> u64 {
    let at = |step: usize| json["steps"][step]["workers"][0][count].as_u64().unwrap();
    at(step) - at(step - 1).min(at(step))
}

fn grew_in(json: &Value, step: usize, region: &str) -> u64 {
    let at = |step: usize| json["steps"][step]["regions"][region].as_u64().unwrap_or(0);
    at(step) - at(step - 1)
}

#[test]
fn reading_strings_breaks_their_pages_and_nearly_all_are_ghosts() {
    for rung in RUNGS {
        let bench = Bench::new();
        let Some(json) = measure(&bench, &truth("strings_by_address.py"), rung) else { continue };
        let truth: u64 = std::fs::read_to_string(bench.path("made_up.py.pages")).unwrap().parse().unwrap();
        assert!(truth > 4_000, "{truth}");
        let broken = grew_in(&json, 1, "pymalloc arena");
        let ghosts = grew(&json, 1, "ghost");
        assert!(
            broken * 100 >= truth * 95 && broken * 100 <= truth * 105,
            "{broken} broken of {truth}, rung {rung}"
        );
        assert!(ghosts * 100 >= broken * 99, "{ghosts} ghosts of {broken}, rung {rung}");
        assert_eq!(grew(&json, 1, "broken_by_worker"), grew(&json, 1, "broken"));
    }
}

#[test]
fn reading_packed_data_breaks_next_to_nothing() {
    let bench = Bench::new();
    let path = format!("{}/workloads/python/packed_buffer.py", env!("CARGO_MANIFEST_DIR"));
    let json = bench.forkprint(&["run", &path, "--format", "json", "-o", "-"]).success();
    let inherited = json["zygote"]["private_pages"].as_u64().unwrap();
    for step in [1, 2] {
        let broken = grew(&json, step, "broken");
        assert!(broken * 100 < inherited, "{broken} of {inherited} in step {step}");
    }
}

fn shipped(workload: &str) -> String {
    std::fs::read_to_string(format!("{}/workloads/python/{workload}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A program that is there for these tests only.
fn truth(workload: &str) -> String {
    std::fs::read_to_string(format!("{}/workloads/truth/{workload}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn freezing_keeps_the_collector_off_the_pages() {
    for rung in RUNGS {
        let bench = Bench::new();
        let Some(plain) = measure(&bench, &shipped("gc_collect.py"), rung) else { continue };
        let Some(frozen) = measure(&bench, &shipped("gc_freeze_collect.py"), rung) else { continue };
        let (plain, frozen) = (grew(&plain, 1, "broken"), grew(&frozen, 1, "broken"));
        // A list takes 56 bytes and the collector's header 16, 350,000 times: more than 5,000 pages.
        assert!(plain > 5_000, "{plain}");
        assert!(frozen * 100 < plain, "{frozen} with gc.freeze(), {plain} without, rung {rung}");
    }
}

#[test]
fn writes_of_the_zygote_are_charged_to_the_zygote() {
    for rung in RUNGS {
        let bench = Bench::new();
        let Some(json) = measure(&bench, &truth("zygote_writes.py"), rung) else { continue };
        let by_zygote = grew(&json, 1, "broken_by_zygote");
        let by_worker = grew(&json, 1, "broken_by_worker");
        assert!((1000..1100).contains(&by_zygote), "{by_zygote}, rung {rung}");
        assert!(by_worker < 50, "{by_worker}, rung {rung}");
        // Then the worker writes half of these pages as well: they were broken before.
        let by_worker = grew(&json, 2, "broken_by_worker");
        assert!((500..550).contains(&by_worker), "{by_worker}, rung {rung}");
        assert!(grew(&json, 2, "broken") < 50, "rung {rung}");
    }
}

#[test]
fn exactly_the_dirtied_pages_are_found() {
    for rung in RUNGS {
        let bench = Bench::new();
        let Some(json) = measure(&bench, &truth("dirty_pages.py"), rung) else { continue };
        // A step that has run leaves a few pages of the interpreter behind.
        let about = |step: usize, count: &str, pages: u64| {
            let found = grew(&json, step, count);
            assert!((pages..pages + 20).contains(&found), "{found} {count}, {pages} expected, rung {rung}");
        };
        about(2, "broken", 300);
        let bytes = grew(&json, 2, "bytes_changed");
        assert!(
            (300..900).contains(&bytes),
            "one byte a page, and few of the interpreter's: {bytes}, rung {rung}"
        );
        about(3, "broken", 200);
        about(3, "ghost", 200);
        about(4, "gone", 100);
        assert!(grew_in(&json, 1, "anonymous") < 20);
        assert_eq!(grew_in(&json, 2, "anonymous"), 300, "rung {rung}");
        assert_eq!(grew_in(&json, 3, "anonymous"), 200, "rung {rung}");
    }
}

mod workloads {
    crate::totals_agree_with_the_kernel!(
        "python",
        ".py",
        &[],
        [
            attribute_writes,
            cold_functions,
            dict_iteration,
            gc_collect,
            gc_freeze_collect,
            hash_caching,
            interpreter_shutdown,
            nested_containers,
            objects_with_attributes,
            packed_buffer,
            refcount_iteration,
            request_mix
        ]
    );
}
