//! An advice and a forecast with realistic numbers, for tests of what shows them.

use forkprint::family::Rung;
use forkprint::family::recording::Recording;
use forkprint::family::synthetic::{Shape, recording};
use forkprint::forecast::{
    AgeUnit, BreakEven, Budget, ClassCurve, CurvePoint, FamilySize, Fitted, Forecast, Growth, GrowthPoint,
    Interval, Rate, Recycling,
};
use forkprint::report::advice::{
    Advice, Estimate, Recommendation, RuleStanding, Split, VariantResult, Verdict, Waterfall, WaterfallStep,
};

const MIB: f64 = 1048576.0;

/// Text that would do harm if it were taken for anything but text.
pub const HOSTILE: &str = "</script></style><script>document.title='owned'</script><img src=x onerror=alert(1)>\u{202e}\u{1b}[2J\"'&";

fn about(mean: f64, width: f64) -> Estimate {
    Estimate { low: mean - width, mean, high: mean + width }
}

fn mebibytes(mean: f64, width: f64) -> Estimate {
    about(mean * MIB, width * MIB)
}

fn split(parts: [f64; 5]) -> Split {
    let [collector, refcount, caches, other, real] = parts.map(|part| part * MIB);
    Split { collector, refcount, caches, other, real }
}

fn variant(codes: &[&str], saving: (f64, f64), parts: [f64; 5], verdict: Verdict) -> VariantResult {
    let broken: f64 = parts.iter().sum();
    let startup = 0.84 + 0.16 * codes.len() as f64;
    VariantResult {
        name: if codes.is_empty() { "today".into() } else { codes.join(" + ") },
        codes: codes.iter().map(|code| (*code).to_owned()).collect(),
        rounds: 8,
        family: mebibytes(341.0 - saving.0, 1.2),
        saving: mebibytes(saving.0, saving.1),
        broken: mebibytes(broken, 0.6),
        fresh: mebibytes(3.1, 0.2),
        split: split(parts),
        startup_seconds: about(startup, 0.03),
        throughput: about(412.0 + 3.0 * codes.len() as f64, 6.0),
        verdict,
        failure: None,
    }
}

fn rule(code: &str, title: &str, applies: bool, evidence: &str, saving: Option<Estimate>) -> RuleStanding {
    RuleStanding {
        code: code.into(),
        title: title.into(),
        applies,
        evidence: evidence.into(),
        saving,
        caveats: if applies { vec!["Objects made immortal are never freed.".into()] } else { Vec::new() },
    }
}

/// A gunicorn application on which immortal objects help and freezing alone does not.
pub fn advice() -> Advice {
    let failed = VariantResult {
        name: "FP006".into(),
        codes: vec!["FP006".into()],
        verdict: Verdict::Failed,
        failure: Some("the server did not answer within 30 s: libjemalloc.so.2 cannot be preloaded".into()),
        ..VariantResult::default()
    };
    let best = variant(&["FP003", "FP004"], (212.0, 3.4), [0.0, 0.3, 0.4, 2.1, 2.4], Verdict::Helps);
    let shape = |seed| recording(Shape { pages: 9000, workers: 2, steps: 3, server: false, seed });
    let mut after = shape(8);
    heal(&mut after);
    Advice {
        schema_version: 1,
        forkprint_version: "0.1.0".into(),
        command: "forkprint advise workloads/servers/gunicorn_shop/gunicorn.conf.py --rounds 8".into(),
        title: "gunicorn shop".into(),
        file: "gunicorn.conf.py".into(),
        runtime_version: "gunicorn 23.0.0, CPython 3.12.1".into(),
        kernel: "Linux 6.8.0".into(),
        machine: "x86-64, 8 processors, 32 GiB".into(),
        created_unix: 1_760_000_000,
        seconds: 318.0,
        rung: Some(Rung::Pfn),
        workers: 4,
        rounds: 8,
        complete: true,
        rules: vec![
            rule("FP001", "preload the application", false, "`preload_app` is set", None),
            rule("FP002", "freeze the collector's objects", true, "212 MiB of ghosts lie in objects that the collector tracks", Some(mebibytes(0.2, 1.9))),
            rule("FP003", "immortal objects", true, "94 % of the broken pages were written by reference counts first", Some(mebibytes(197.0, 4.0))),
            rule("FP004", "warm hashes and caches", true, "17.4 MiB were written by caches", Some(mebibytes(11.0, 2.0))),
            rule("FP006", "another allocator", true, "libjemalloc.so.2 is installed", None),
            rule("FP007", "transparent huge pages", false, "no huge page is mapped", None),
            rule("FP011", "threads in the zygote", false, "1 thread at the fork", None),
        ],
        variants: vec![
            variant(&[], (0.0, 0.0), [1.2, 47.9, 4.1, 2.6, 2.9], Verdict::Baseline),
            variant(&["FP002"], (0.2, 1.9), [0.1, 48.6, 4.1, 2.6, 2.9], Verdict::DoesNotHelp),
            variant(&["FP003"], (197.0, 4.0), [0.2, 0.3, 4.2, 2.3, 2.5], Verdict::Helps),
            variant(&["FP004"], (11.0, 2.0), [1.2, 47.9, 0.5, 2.6, 2.9], Verdict::Helps),
            variant(&["FP005"], (-9.0, 2.4), [1.4, 49.2, 4.0, 2.9, 3.0], Verdict::Harms),
            failed,
            best,
        ],
        waterfall: Waterfall {
            today: 234.8 * MIB,
            steps: vec![
                WaterfallStep { label: "FP003".into(), saving: mebibytes(197.0, 4.0) },
                WaterfallStep { label: "FP004".into(), saving: mebibytes(15.0, 2.0) },
            ],
            remaining: 22.8 * MIB,
            limit: 11.6 * MIB,
        },
        recommended: Some(Recommendation {
            codes: vec!["FP003".into(), "FP004".into()],
            diff: "--- gunicorn.conf.py\n+++ gunicorn.conf.py\n@@ -1,3 +1,8 @@\n preload_app = True\n workers = 4\n+\n+import forkprint\n+\n+def when_ready(server):\n+    forkprint.prepare_fork()\n".into(),
            environment: vec!["MALLOC_ARENA_MAX=2".into()],
            saving: mebibytes(212.0, 3.4),
            of_ghosts: 0.95,
            startup_seconds: 0.32,
            throughput: 1.014,
        }),
        notes: vec!["Throughput is that of the load generator; the machine was otherwise idle.".into()],
        before: Some(Box::new(shape(7))),
        after: Some(Box::new(after)),
    }
}

/// Most copies are gone: what a remedy leaves.
fn heal(recording: &mut Recording) {
    for worker in &mut recording.pages.workers {
        worker.earlier.clear();
        for (at, cell) in worker.cells.iter_mut().enumerate() {
            if at % 12 != 0 {
                cell.state = forkprint::family::PageState::Shared;
            }
        }
    }
}

fn near(estimate: f64, width: f64) -> Interval {
    Interval { low: estimate - width, estimate, high: estimate + width }
}

fn curve(name: &str, pages: u64, at_once: f64, slow: f64, rate: f64) -> ClassCurve {
    let broken = |age: f64| at_once + slow * (1.0 - (-rate * age).exp());
    let point = |age: f64, width: f64| CurvePoint { age, broken: near(broken(age), width) };
    let count = f64::from(u32::try_from(pages).unwrap());
    let fitted_ages = (0..=40).map(|step| f64::from(step) * 250.0);
    ClassCurve {
        name: name.into(),
        pages,
        observed: [0.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 1500.0, 2000.0]
            .map(|age| point(age, 0.012))
            .to_vec(),
        fitted: fitted_ages.map(|age| point(age, 0.01 + age / 400_000.0)).collect(),
        rates: vec![
            Rate { weight: at_once, rate: None },
            Rate { weight: slow, rate: Some(rate) },
            Rate { weight: 1.0 - at_once - slow, rate: Some(0.0) },
        ],
        plateau: near((at_once + slow) * count, 0.03 * count),
        half_life: Some(near(2.0_f64.ln() / rate, 90.0)),
    }
}

fn family(workers: u32) -> FamilySize {
    let count = f64::from(workers);
    let (distinct, unshared) = ((118.0 + 41.0 * count) * MIB, (118.0 + 136.0 * count) * MIB);
    FamilySize {
        workers,
        distinct: near(distinct, (3.0 + 1.4 * count) * MIB),
        page_tables: 0.6 * MIB * (count + 1.0),
        unshared,
        saving: near(unshared - distinct, (3.0 + 1.4 * count) * MIB),
    }
}

/// A forecast fitted on two workers for families of up to 32.
pub fn forecast() -> Forecast {
    let growth = |age: f64| GrowthPoint { age, pages: near(700.0 + age.sqrt() * 9.0, 40.0) };
    let recycled = |(age, distinct, gain): (f64, f64, f64)| Recycling {
        age,
        distinct: near(distinct * MIB, 22.0 * MIB),
        gain,
    };
    Forecast {
        schema_version: 1,
        forkprint_version: "0.1.0".into(),
        command: "forkprint forecast shop.forkprint --workers 1,2,4,8,16,32 --limit 1GiB".into(),
        title: "gunicorn shop".into(),
        fitted: Fitted {
            captures: 1,
            workers: 2,
            snapshots: 8,
            age_unit: AgeUnit::Requests,
            last_age: 2000.0,
            inherited_pages: 34_816,
            page_size: 4096,
            page_table_bytes: 629_145,
            rung: Some(Rung::Pfn),
        },
        classes: vec![
            curve("all", 34_816, 0.08, 0.24, 0.0011),
            curve("pymalloc arenas", 21_004, 0.06, 0.33, 0.0014),
            curve("malloc heap", 9_120, 0.12, 0.12, 0.0006),
            curve("libpython .data", 402, 0.61, 0.08, 0.002),
        ],
        fresh: Growth {
            observed: [0.0, 100.0, 1000.0, 2000.0].map(growth).to_vec(),
            fitted: [0.0, 2500.0, 5000.0, 10_000.0].map(growth).to_vec(),
        },
        age: 10_000.0,
        families: [1, 2, 4, 8, 16, 32].map(family).to_vec(),
        budget: Some(Budget { limit_bytes: 1 << 30, source: "--limit".into(), workers: [21, 22, 23] }),
        recycling: [
            (100.0, 590.0, 0.71),
            (300.0, 640.0, 0.66),
            (1000.0, 790.0, 0.52),
            (3000.0, 1050.0, 0.3),
            (10_000.0, 1310.0, 0.1),
            (30_000.0, 1420.0, 0.02),
        ]
        .map(recycled)
        .to_vec(),
        best_max_requests: Some(1000),
        break_even: vec![
            BreakEven {
                what: "preload".into(),
                workers: Some(2),
                because: "a worker of its own costs 136 MiB, a forked one 41 MiB".into(),
            },
            BreakEven {
                what: "refork".into(),
                workers: None,
                because: "the pages that are broken late are too few".into(),
            },
        ],
        notes: vec!["Beyond 2,000 requests the curve is the fitted mixture.".into()],
    }
}
