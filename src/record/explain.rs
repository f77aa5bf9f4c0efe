//! Explains the broken pages of a measurement, while the frozen sibling still holds the bytes of the fork.

use super::trace::Trace;
use crate::cpython::memory::Memory;
use crate::explain::explainer::Explainer;
use crate::explain::heap::Heap;
use crate::explain::reconcile::reconcile;
use crate::explain::rows;
use crate::explain::symbols::Symbolizer;
use crate::explain::toy::Collector;
use crate::family::recording::Recording;
use crate::family::{Region, Vma, Witness};
use crate::kernel::remote::SharedMemory;

/// What is kept of the fork to explain writes with.
#[derive(Debug, Default)]
pub struct ForkScene {
    /// The zygote's areas.
    pub areas: Vec<Vma>,
    /// Memory that its runtime named.
    pub regions: Vec<Region>,
    /// What its collector does to objects.
    pub collector: Collector,
    /// Process whose memory holds the bytes of the fork.
    pub reference: u32,
}

/// Fills in the rows, the causes of every step, and the reconciliation.
#[tracing::instrument(level = "debug", skip_all)]
pub fn explain(recording: &mut Recording, trace: &mut Trace, scene: &ForkScene) {
    if trace.witness() != Witness::None {
        explain_rows(recording, trace, scene);
    }
    recording.about.notes.extend(trace.notes());
    reconcile(recording, trace.lost());
}

fn explain_rows(recording: &mut Recording, trace: &mut Trace, scene: &ForkScene) {
    let census = match trace.take_census() {
        Some(Ok(census)) => Some(census),
        Some(Err(error)) => {
            trace.note(format!("objects have no owners: {}", error.in_one_line()));
            None
        }
        None => None,
    };
    let symbolizer = Symbolizer::new(&scene.areas);
    let memory = SharedMemory::open(scene.reference).ok();
    let nothing = |_: u64, _: &mut [u8]| false;
    let memory: &dyn Memory = match &memory {
        Some(memory) => memory,
        None => &nothing,
    };
    let offsets = trace.offsets().copied();
    let version = offsets.as_ref().map(|offsets| offsets.version);
    let heap = Heap::new(memory, &scene.areas, &symbolizer, offsets, census.as_ref(), &scene.regions)
        .with_collector(scene.collector);
    let mut names = trace.take_names();
    let mut explainer = Explainer::new(heap, &symbolizer, census.as_ref(), version);
    let zygote = recording.zygote.pid;
    let (began, of_zygote) = (trace.began(zygote), trace.take_process(zygote));
    let mut found = Vec::new();
    for (pages, info) in recording.pages.workers.iter().zip(&recording.workers) {
        let worker = trace.take_process(info.pid);
        found.extend(rows::of_worker(pages, &worker, &of_zygote, began, &mut explainer, &mut names));
    }
    found.sort_by_key(|row| (row.worker, row.page));
    recording.breaks = names.finish(found);
}
