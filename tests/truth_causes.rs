//! One program for each cause of a break, which knows its pages, its objects and its line.

#[path = "common/bench.rs"]
mod bench;
#[path = "common/causes.rs"]
mod causes;
#[path = "common/skip.rs"]
mod skip;
#[path = "common/witness.rs"]
mod witness;

use bench::Bench;

/// One test for each program of `workloads/truth/causes`.
macro_rules! causes_are_found {
    ($($program:ident),* $(,)?) => {
        $(
            #[test]
            fn $program() {
                causes::are_found(&Bench::new(), stringify!($program));
            }
        )*
    };
}

causes_are_found! {
    allocator,
    array_buffer,
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

    /// 60,000 records behind one that dies after the fork.
    const SLIDING: &str = "
        let first = [{number: 0, next: nil}];
        let all = [];
        for number in 0..60000 { push(all, {number: number, next: nil}); }
        collect();
        step slide { first = nil; collect(); }
    ";

    /// Measures a program, or skips.
    fn measure_source(source: &str, arguments: &[&str]) -> Option<Recording> {
        if !witness::can_be_had() {
            return None;
        }
        let bench = Bench::new();
        std::fs::write(bench.path("program.toy"), source).unwrap();
        Some(causes::measure(&bench, "program.toy", arguments))
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

    /// Expects that the pages of a region that a step broke were broken for one cause.
    struct Broken<'a> {
        step: &'a str,
        region: &'a str,
        /// Pages, at least.
        least: usize,
        cause: &'a str,
        /// Type and field.
        object: Option<(&'a str, &'a str)>,
    }

    impl Broken<'_> {
        fn is_explained(&self, found: &Recording) {
            let pages = broken(found, self.step, self.region);
            let Self { step, region, least, .. } = self;
            assert!(pages.len() >= *least, "{} pages of the {region} in step {step}", pages.len());
            let expected = Expectation {
                step: self.step.into(),
                cause: self.cause.into(),
                pages,
                ty: self.object.map(|(ty, _)| ty.into()),
                field: self.object.map(|(_, field)| field.into()),
                ..Expectation::default()
            };
            holds(found, &expected);
        }
    }

    #[test]
    fn marks_in_headers() {
        let Some(found) = measure("gc_marks.toy", &["--gc", "mark-header"]) else { return };
        let object = Some(("toy Record", "header"));
        Broken { step: "collect", region: "object heap", least: 4000, cause: "gc_mark", object }
            .is_explained(&found);
    }

    #[test]
    fn marks_in_a_bitmap() {
        let Some(found) = measure("gc_marks.toy", &["--gc", "mark-bitmap"]) else { return };
        Broken { step: "collect", region: "mark bitmap", least: 30, cause: "gc_mark", object: None }
            .is_explained(&found);
        assert_eq!(broken(&found, "collect", "object heap"), Vec::<u64>::new());
    }

    #[test]
    fn counts_in_headers() {
        let Some(found) = measure("gc_marks.toy", &["--gc", "refcount"]) else { return };
        let object = Some(("toy Record", "count"));
        Broken { step: "iterate", region: "object heap", least: 4000, cause: "refcount", object }
            .is_explained(&found);
    }

    #[test]
    fn counts_in_a_table() {
        let Some(found) = measure("gc_marks.toy", &["--gc", "refcount-side"]) else { return };
        let object = Some(("toy Record", "count"));
        Broken { step: "iterate", region: "count table", least: 1000, cause: "refcount", object }
            .is_explained(&found);
        assert_eq!(broken(&found, "iterate", "object heap"), Vec::<u64>::new());
    }

    /// Copies fill the one half, and in the other each original gets the address of its copy. The worker
    /// inherited both: the zygote collected before.
    #[test]
    fn copies_and_what_they_were_copied_from() {
        let Some(found) = measure("gc_marks.toy", &["--gc", "copying"]) else { return };
        for region in ["space A", "space B"] {
            Broken { step: "collect", region, least: 4000, cause: "gc_move", object: None }
                .is_explained(&found);
        }
    }

    /// What lies behind dead objects moves down, over whatever lay there.
    #[test]
    fn compacted_objects() {
        for (gc, region) in [("compacting", "object heap"), ("generational", "old space")] {
            let Some(found) = measure_source(SLIDING, &["--gc", gc]) else { return };
            Broken { step: "slide", region, least: 500, cause: "gc_move", object: None }.is_explained(&found);
        }
    }

    #[test]
    fn patches_of_code_and_their_counters() {
        let Some(found) = measure("jit_patch.toy", &[]) else { return };
        for region in ["hot code", "cold code"] {
            Broken { step: "warm_up", region, least: 5, cause: "jit_code", object: None }
                .is_explained(&found);
        }
        Broken { step: "warm_up", region: "inline-cache data", least: 1, cause: "jit_data", object: None }
            .is_explained(&found);
    }

    #[test]
    fn stores_into_records() {
        let Some(found) = measure("mutate.toy", &[]) else { return };
        let object = Some(("toy Record", "field 1"));
        for (step, least) in [("every_1000th", 190), ("every_50th", 2000)] {
            Broken { step, region: "object heap", least, cause: "object_body", object }.is_explained(&found);
        }
    }

    #[test]
    fn stores_into_captured_variables() {
        let Some(found) = measure("closures.toy", &[]) else { return };
        let object = Some(("toy Cell", "value"));
        for step in ["count", "count_all"] {
            Broken { step, region: "object heap", least: 1, cause: "object_body", object }
                .is_explained(&found);
        }
    }
}
