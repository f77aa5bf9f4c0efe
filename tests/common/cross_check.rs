//! Our page walk against the kernel's own totals, for workloads that are run anyway.

use crate::bench::Bench;
use crate::skip::skip;
use serde_json::Value;
use std::path::Path;

/// Runs every workload of a folder on rung `pfn` and compares each snapshot with `smaps_rollup`.
pub fn every_workload(folder: &str, ending: &str, arguments: &[&str]) {
    if !nix::unistd::geteuid().is_root() {
        return skip("page frame numbers are hidden; run as root");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads").join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut workloads: Vec<_> = files.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    workloads.sort();
    assert!(workloads.len() > 3);
    for workload in workloads {
        let common = ["run", workload.to_str().unwrap(), "--rung", "pfn", "--format", "json", "-o", "-"];
        let outcome = Bench::new().forkprint(&[&common[..], arguments].concat());
        if !outcome.status.success() && outcome.stderr.contains("does not work here") {
            return skip(outcome.stderr.trim().replace('\n', " "));
        }
        let json = outcome.success();
        for step in json["steps"].as_array().unwrap() {
            let place = format!("{} after {}", workload.display(), step["name"]);
            let check = |name: &str| step["cross_check"][name].as_u64().unwrap();
            within_one_percent(&place, check("workers_unique"), check("workers_private_dirty"));
            within_one_percent(&place, check("family_distinct"), check("family_pss_anon"));
            shares_add_up(&place, &step["ledger"]);
        }
    }
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
