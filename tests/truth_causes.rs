//! One program for each cause of a break, which knows its pages, its objects and its line.

#[path = "common/bench.rs"]
mod bench;
#[path = "common/causes.rs"]
mod causes;
#[path = "common/skip.rs"]
mod skip;
#[path = "common/witness.rs"]
mod witness;

/// One test for each program of `workloads/truth/causes`.
macro_rules! causes_are_found {
    ($($program:ident),* $(,)?) => {
        $(
            #[test]
            fn $program() {
                causes::are_found(stringify!($program));
            }
        )*
    };
}

causes_are_found! {
    allocator,
    gc_header,
    interpreter,
    kernel_write,
    lazy_cache,
    native_data,
    object_body,
    refcount_containers,
    refcount_str,
    specialize,
    stack,
}

mod toy {
    use super::causes::{self, Expectation, holds};
    use super::{bench::Bench, witness};
    use forkprint::family::recording::{PageRun, Recording};

    /// Measures a shipped toy workload, or skips.
    fn measure(workload: &str, arguments: &[&str]) -> Option<Recording> {
        if !witness::can_be_had() {
            return None;
        }
        let bench = Bench::new();
        let shipped = format!("{}/workloads/toy/{workload}", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(shipped, bench.path(workload)).unwrap();
        Some(causes::measure(&bench, workload, arguments))
    }

    /// Numbers of the pages of a region that were broken in a step.
    fn broken(recording: &Recording, step: &str, region: &str) -> Vec<u64> {
        let broken = causes::broken_in(recording, step);
        let named = |run: &&PageRun| recording.pages.regions[run.region as usize] == region;
        let runs = recording.pages.runs.iter().filter(named);
        runs.flat_map(|run| run.first..run.first + u64::from(run.len))
            .filter(|page| broken.contains_key(page))
            .collect()
    }

    /// The pages of a region that a step broke are so many, and were broken for one cause.
    fn explained(
        found: &Recording,
        step: &str,
        region: &str,
        least: usize,
        cause: &str,
        field: Option<&str>,
    ) {
        let pages = broken(found, step, region);
        assert!(pages.len() >= least, "{} pages of the {region} in step {step}", pages.len());
        let field = field.map(str::to_owned);
        holds(
            found,
            &Expectation { step: step.into(), cause: cause.into(), pages, field, ..Expectation::default() },
        );
    }

    #[test]
    fn marks_in_headers() {
        let Some(found) = measure("gc_marks.toy", &["--gc", "mark-header"]) else { return };
        explained(&found, "collect", "object heap", 4_000, "gc_mark", Some("header"));
    }

    #[test]
    fn marks_in_a_bitmap() {
        let Some(found) = measure("gc_marks.toy", &["--gc", "mark-bitmap"]) else { return };
        explained(&found, "collect", "mark bitmap", 30, "gc_mark", None);
        assert_eq!(broken(&found, "collect", "object heap"), Vec::<u64>::new());
    }

    #[test]
    fn patches_of_code() {
        let Some(found) = measure("jit_patch.toy", &[]) else { return };
        explained(&found, "warm_up", "code cache", 5, "jit_code", None);
    }

    #[test]
    fn counters_of_the_compiler() {
        let Some(found) = measure("jit_patch.toy", &["--jit", "off"]) else { return };
        let counters = broken(&found, "warm_up", "inline-cache data");
        if !counters.is_empty() {
            explained(&found, "warm_up", "inline-cache data", 1, "jit_data", None);
        }
    }

    #[test]
    fn stores_into_records() {
        let Some(found) = measure("mutate.toy", &[]) else { return };
        explained(&found, "every_1000th", "object heap", 190, "object_body", None);
        explained(&found, "every_50th", "object heap", 2_000, "object_body", None);
    }

    #[test]
    fn stores_into_captured_variables() {
        let Some(found) = measure("closures.toy", &[]) else { return };
        explained(&found, "count", "object heap", 1, "object_body", None);
        explained(&found, "count_all", "object heap", 1, "object_body", None);
    }
}
