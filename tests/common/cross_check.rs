//! Our page walk against the kernel's own totals, for workloads that are run anyway.

use crate::bench::Bench;
use crate::skip::skip;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// One test for each workload of a folder, and one that none is missing.
#[macro_export]
macro_rules! totals_agree_with_the_kernel {
    ($folder:literal, $ending:literal, $arguments:expr, [$($workload:ident),* $(,)?]) => {
        $(
            #[test]
            fn $workload() {
                $crate::cross_check::workload($folder, concat!(stringify!($workload), $ending), $arguments);
            }
        )*

        #[test]
        fn no_workload_is_missing() {
            $crate::cross_check::assert_complete($folder, $ending, &[$(stringify!($workload)),*]);
        }
    };
}

fn folder_of(runtime: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads").join(runtime)
}

/// Every workload of the folder is in the list.
pub fn assert_complete(runtime: &str, ending: &str, known: &[&str]) {
    let names = std::fs::read_dir(folder_of(runtime)).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect();
    names.sort();
    assert_eq!(names, known);
}

/// Runs a workload on rung `pfn` and compares each snapshot with `smaps_rollup`.
pub fn workload(runtime: &str, name: &str, arguments: &[&str]) {
    let path = folder_of(runtime).join(name);
    let common = ["run", path.to_str().unwrap(), "--rung", "pfn", "--format", "json", "-o", "-"];
    // Pages of a program just built count as `Private_Dirty` until they are written back.
    std::fs::File::open(env!("CARGO_BIN_EXE_forkprint")).unwrap().sync_all().unwrap();
    let outcome = Bench::new().forkprint(&[&common[..], arguments].concat());
    if !outcome.status.success() && outcome.stderr.contains("does not work here") {
        return skip(outcome.stderr.trim().replace('\n', " "));
    }
    let json = outcome.success();
    for step in json["steps"].as_array().unwrap() {
        let place = format!("{name} after {}", step["name"]);
        let check = |name: &str| step["cross_check"][name].as_u64().unwrap();
        within_one_percent(&place, check("workers_unique"), check("workers_private_dirty"));
        within_one_percent(&place, check("family_distinct"), check("family_pss_anon"));
        shares_add_up(&place, &step["ledger"]);
    }
    nearly_all_is_explained(name, &json);
}

/// The reconciliation adds up, loses nothing, and leaves less than 1 % unexplained.
fn nearly_all_is_explained(name: &str, json: &Value) {
    if json["witness"] == "none" {
        return skip(format!("{name}: writes cannot be witnessed here"));
    }
    let sums = &json["reconciliation"];
    let sum = |name: &str| sums[name].as_u64().unwrap();
    let parts = ["explained", "kernel_writes", "floor", "unexplained"].map(sum);
    assert_eq!(parts.iter().sum::<u64>(), sum("broken"), "{name}: {sums}");
    assert_eq!(sum("lost_samples"), 0, "{name}: {sums}");
    assert!(sum("unexplained") * 100 < sum("broken").max(200), "{name}: {sums}");
}

fn within_one_percent(place: &str, ours: u64, kernels: u64) {
    let slack = (kernels / 100).max(8 * 4096);
    assert!(ours.abs_diff(kernels) <= slack, "{place}: {ours} bytes by our walk, {kernels} by the kernel");
}

#[expect(clippy::cast_precision_loss, reason = "page counts are small")]
fn shares_add_up(place: &str, ledger: &Value) {
    let shares = ledger["shares"].as_array().unwrap().iter();
    let sum: f64 = shares.map(|share| share["proportional_frames"].as_f64().unwrap()).sum();
    let distinct = ledger["distinct_frames"].as_u64().unwrap() as f64;
    assert!((sum - distinct).abs() < 1e-3, "{place}: {sum} of {distinct} frames");
}
