//! Where the time of a whole snapshot goes: the spans that the measurement opens, added up.

use crate::bounds::median;
use forkprint::record::Measurement;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

const SNAPSHOTS: usize = 5;

/// Times by span name.
type Times = BTreeMap<&'static str, Duration>;

/// Adds up how long each kind of span was open.
#[derive(Clone, Default)]
struct Stopwatch(Arc<Mutex<Times>>);

struct Opened(Instant);

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Stopwatch {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Opened(Instant::now()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        if let Some(Opened(start)) = span.extensions().get() {
            *self.0.lock().expect("no panic").entry(span.name()).or_default() += start.elapsed();
        }
    }
}

/// Prints the share of each phase of a snapshot.
pub fn shares(measurement: &mut Measurement) {
    let stopwatch = Stopwatch::default();
    let subscriber = Registry::default().with(stopwatch.clone());
    let mut totals = Vec::new();
    tracing::subscriber::with_default(subscriber, || {
        for index in 0..SNAPSHOTS {
            let start = Instant::now();
            measurement.snapshot(&index.to_string(), None).expect("measured");
            totals.push(start.elapsed());
        }
    });
    println!(
        "\nwhole snapshot, median {:.0} ms of {SNAPSHOTS}:",
        median(totals.iter().map(Duration::as_secs_f64)) * 1e3
    );
    let total: Duration = totals.iter().sum();
    let times = stopwatch.0.lock().expect("no panic").clone();
    for (name, time) in &times {
        println!(
            "  {:5.1} %  {name} ({:.1} ms)",
            percent(*time, total),
            time.as_secs_f64() * 1e3 / SNAPSHOTS as f64
        );
    }
    let known: Duration = times.values().sum();
    println!("  {:5.1} %  the rest", percent(total.saturating_sub(known), total));
}

fn percent(part: Duration, whole: Duration) -> f64 {
    part.as_secs_f64() * 100.0 / whole.as_secs_f64()
}
