//! A capture of a million pages: how long reading it takes, and how much longer drawing it.

use criterion::{Criterion, criterion_group, criterion_main};
use forkprint::family::synthetic::{Shape, recording};
use forkprint::{capture, report};
use std::hint::black_box;
use std::time::Instant;

fn million_pages(criterion: &mut Criterion) {
    let recording = recording(Shape { pages: 1_000_000, workers: 2, steps: 5, server: false, seed: 2 });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("million.forkprint");
    capture::write(&recording, &path, true).expect("written");
    let mut group = criterion.benchmark_group("million_pages_two_workers");
    group.sample_size(20);
    group.bench_function("write", |bencher| {
        bencher.iter(|| capture::write(&recording, &path, true).expect("written"))
    });
    group.bench_function("read", |bencher| bencher.iter(|| capture::read(black_box(&path)).expect("read")));
    group.bench_function("html", |bencher| {
        bencher.iter(|| report::html::render(black_box(&recording)).expect("drawn"))
    });
    group.finish();
    print_ratio(&path);
}

/// The promise is a ratio: the report is drawn in less than twice the time of reading.
fn print_ratio(path: &std::path::Path) {
    let best = |work: &dyn Fn()| {
        let time = |_| {
            let start = Instant::now();
            work();
            start.elapsed()
        };
        (0..15).map(time).min().unwrap_or_default()
    };
    let recording = capture::read(path).expect("read");
    let read = best(&|| drop(black_box(capture::read(path).expect("read"))));
    let html = best(&|| drop(black_box(report::html::render(&recording).expect("drawn"))));
    let bytes = report::html::render(&recording).expect("drawn").len();
    let stored: u64 = std::fs::read_dir(path)
        .expect("a folder")
        .filter_map(|file| file.ok()?.metadata().ok())
        .map(|file| file.len())
        .sum();
    println!(
        "read {read:?}, html {html:?}: ratio {:.2}; capture {stored} bytes, html {bytes} bytes",
        html.as_secs_f64() / read.as_secs_f64()
    );
}

criterion_group!(benches, million_pages);
criterion_main!(benches);
