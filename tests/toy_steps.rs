//! Toy workloads under the supervisor: steps in the zygote, and what sharing and replacing break.

use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;

fn run(path: &Path, workers: &str) -> (Value, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_forkprint"))
        .arg("run")
        .arg(path)
        .args(["-w", workers, "-q", "--format", "json", "-o", "-"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}\n{told}"));
    (report, output.status.code())
}

fn workload(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/toy").join(name)
}

/// Inherited pages of the region that are broken after the step, of all workers together.
fn broken(report: &Value, step: &str, region: &str) -> u64 {
    let steps = report["steps"].as_array().unwrap();
    let step = steps.iter().find(|found| found["name"] == step).unwrap();
    step["regions"][region].as_u64().unwrap_or(0)
}

#[test]
fn a_box_is_shared_by_the_whole_family_and_breaks_no_page() {
    let (report, code) = run(&workload("isolation.toy"), "3");
    assert_eq!(code, Some(0), "the program's own assertions hold: {}", report["findings"]);
    let names: Vec<&str> =
        report["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fork", "count_in_workers", "look_and_count_in_zygote", "look_in_workers"]);
    for name in names {
        assert_eq!(broken(&report, name, "shared boxes"), 0, "{name}");
    }
    assert_eq!(
        broken(&report, "look_in_workers", "object heap"),
        3,
        "the page of the variable, in each worker"
    );
}

#[test]
fn a_failing_step_in_the_zygote_is_a_finding_and_the_others_still_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toy");
    std::fs::write(&path, "step a {}\nstep b in zygote { nil[0]; }\nstep c { assert has_forked(); }")
        .unwrap();
    let (report, code) = run(&path, "1");
    assert_eq!(code, Some(2));
    let finding = &report["findings"][0];
    assert_eq!(finding["title"], "step 'b' raised in the zygote");
    assert!(finding["evidence"].as_str().unwrap().ends_with("bad.toy:2:23: cannot index nil"), "{finding}");
    assert_eq!(report["steps"].as_array().unwrap().len(), 4);
}

#[test]
fn replacing_a_table_breaks_few_pages_and_changing_it_breaks_all_of_its_pages() {
    let (report, code) = run(&workload("read_copy_update.toy"), "1");
    assert_eq!(code, Some(0), "{}", report["findings"]);
    let replaced = broken(&report, "replace", "object heap");
    let changed = broken(&report, "update_in_place", "object heap") - replaced;
    // Eight tables of 400 records of 40 bytes take 31 pages, if nothing else is on them.
    assert!((31..=60).contains(&changed), "{changed}");
    assert!(replaced * 2 < changed, "{replaced} against {changed}");
    println!("replace broke {replaced} pages of the object heap, update_in_place {changed}");
}

#[test]
fn path_copying_writes_to_no_node_that_exists() {
    let (report, code) = run(&workload("persistent.toy"), "1");
    assert_eq!(code, Some(0), "{}", report["findings"]);
    let pages = broken(&report, "every_100th", "object heap");
    // 1,100 updates of 16 nodes each; in place they would break hundreds of pages.
    assert!(pages < 16, "{pages}");
    println!("1,100 persistent updates broke {pages} pages of the object heap");
}
