//! All ways of running a toy program, and a choice of them for every program of a series.

#[path = "../common/captured.rs"]
mod captured;

use captured::Captured;
use forkprint::runtimes::Runtime;
use forkprint::runtimes::toy::{AllocOrder, AtFork, GcPolicy, JitMode, ToyOptions, ToyRuntime};

/// What distinguishes two ways. Every pair of entries in two different rows meets in some program.
const CALLS_UNTIL_HOT: [u32; 3] = [1, 3, 20];
const COLLECT_EVERY: [u32; 4] = [0, 1, 3, 50];
const DEOPT_EVERY: [u32; 3] = [0, 1, 7];
const AT_FORK: &[AtFork] = AtFork::ALL;

/// Ways besides the reference that a program is run in.
const WAYS_PER_PROGRAM: u64 = 4;
const HEAP_LIMIT: u64 = 64 << 20;

/// Everything that a program prints, and the error that ended it.
pub fn run(source: &str, options: ToyOptions) -> String {
    let captured = Captured::default();
    let end = match ToyRuntime::load_with_output("t", source, options.clone(), Box::new(captured.clone())) {
        Err(error) => error.to_string(),
        Ok(mut runtime) => {
            runtime.prepare_fork().unwrap();
            let failure = (0..runtime.steps().len()).find_map(|step| runtime.run_step(step).err());
            assert_eq!(runtime.miscounted_objects(), 0, "{options:?}\n{source}");
            failure.map_or_else(|| "finished".to_owned(), |failure| failure.message)
        }
    };
    captured.take() + &end
}

/// The ways that there are.
pub struct Ways {
    policies: Vec<(GcPolicy, AllocOrder)>,
    compilers: Vec<JitMode>,
}

impl Ways {
    pub fn new() -> Self {
        let orders = |gc| AllocOrder::ALL.iter().map(move |alloc| (gc, *alloc));
        let policies = GcPolicy::ALL.iter().flat_map(|gc| orders(*gc));
        let compilers = JitMode::ALL.iter().copied();
        Self {
            policies: policies.filter(|(gc, alloc)| exists(&with(*gc, *alloc, JitMode::Off))).collect(),
            compilers: compilers
                .filter(|jit| exists(&ToyOptions { jit: *jit, ..Self::reference() }))
                .collect(),
        }
    }

    /// The simplest of all: interpreted, with marks beside the heap.
    pub fn reference() -> ToyOptions {
        with(GcPolicy::MarkBitmap, AllocOrder::SizeClass, JitMode::Off)
    }

    /// The ways in which to run the program of this number.
    pub fn for_program(&self, number: u64) -> impl Iterator<Item = ToyOptions> + '_ {
        (0..WAYS_PER_PROGRAM).map(move |way| self.nth(number * WAYS_PER_PROGRAM + way))
    }

    fn nth(&self, number: u64) -> ToyOptions {
        let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut pick = |count: usize| {
            state = (state ^ state >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            usize::try_from((state >> 33) % count as u64).unwrap()
        };
        let (gc, alloc) = self.policies[pick(self.policies.len())];
        ToyOptions {
            hot_calls: CALLS_UNTIL_HOT[pick(CALLS_UNTIL_HOT.len())],
            collect_every: COLLECT_EVERY[pick(COLLECT_EVERY.len())],
            deopt_every: DEOPT_EVERY[pick(DEOPT_EVERY.len())],
            at_fork: AT_FORK[pick(AT_FORK.len())],
            ..with(gc, alloc, self.compilers[pick(self.compilers.len())])
        }
    }

    /// Pairs of choices that so many programs do not try together.
    #[allow(dead_code, reason = "not every test asks")]
    pub fn pairs_left_out_of(&self, programs: u64) -> Vec<String> {
        let mut missing = Vec::new();
        let tried: Vec<ToyOptions> = (0..programs).flat_map(|number| self.for_program(number)).collect();
        let mut check = |what: String, matches: &dyn Fn(&ToyOptions) -> bool| {
            if !tried.iter().any(matches) {
                missing.push(what);
            }
        };
        for (gc, alloc) in &self.policies {
            for jit in &self.compilers {
                check(format!("{gc} {alloc} {jit}"), &|o| (o.gc, o.alloc, o.jit) == (*gc, *alloc, *jit));
            }
            for at_fork in AT_FORK {
                let holds = |o: &ToyOptions| (o.gc, o.alloc, o.at_fork) == (*gc, *alloc, *at_fork);
                check(format!("{gc} {alloc} {at_fork}"), &holds);
            }
            for every in COLLECT_EVERY {
                let holds = |o: &ToyOptions| (o.gc, o.alloc, o.collect_every) == (*gc, *alloc, every);
                check(format!("{gc} {alloc}, collect every {every}"), &holds);
            }
        }
        for jit in &self.compilers {
            for hot_calls in CALLS_UNTIL_HOT {
                check(format!("{jit}, hot {hot_calls}"), &|o| (o.jit, o.hot_calls) == (*jit, hot_calls));
            }
            for every in DEOPT_EVERY {
                check(format!("{jit}, deopt every {every}"), &|o| (o.jit, o.deopt_every) == (*jit, every));
            }
            for every in COLLECT_EVERY {
                check(format!("{jit}, collect every {every}"), &|o| {
                    (o.jit, o.collect_every) == (*jit, every)
                });
            }
        }
        missing
    }
}

fn with(gc: GcPolicy, alloc: AllocOrder, jit: JitMode) -> ToyOptions {
    ToyOptions { gc, alloc, jit, heap_limit: HEAP_LIMIT, ..ToyOptions::default() }
}

/// Whether the policies are there. Any other reason not to load an empty program is a bug.
fn exists(options: &ToyOptions) -> bool {
    match ToyRuntime::load_source("t", "", options.clone()) {
        Ok(_) => true,
        Err(error) => {
            assert!(error.to_string().contains("not there yet"), "{options:?}: {error}");
            false
        }
    }
}
