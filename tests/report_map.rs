//! The page map shows at every step what the table beside it says of that step.

#[path = "common/bench.rs"]
mod bench;
#[path = "common/browser.rs"]
mod browser;
#[path = "common/skip.rs"]
mod skip;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bench::Bench;
use browser::opened;
use forkprint::capture;
use forkprint::family::recording::{Recording, WorkerStep};
use forkprint::family::synthetic::{Shape, recording};
use forkprint::report::{Split, html};
use serde_json::Value;
use std::io::Read;

const SHAPE: Shape = Shape { pages: 6000, workers: 3, steps: 5, server: false, seed: 11 };

/// Shared, ghost, new data, not compared, by the zygote, unmapped: the classes of the map.
type Counts = [u64; 6];

fn measured() -> Option<Recording> {
    let bench = Bench::new();
    let workload = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/python/interpreter_shutdown.py");
    let path = bench.path("shutdown.forkprint");
    let capture_as = ["--capture", path.to_str().unwrap()];
    let arguments = ["run", workload, "-w", "2", "--format", "json", "-o", "-"];
    let json = bench.forkprint(&[&arguments[..], &capture_as].concat()).success();
    let recording = capture::read(&path).unwrap();
    assert_eq!(json["steps"].as_array().unwrap().len(), recording.steps.len());
    if recording.pages.is_empty() {
        skip::skip("pages cannot be told apart here");
        return None;
    }
    Some(recording)
}

fn by_table(worker: &WorkerStep) -> Counts {
    let Split { ghost, differs, uncompared, zygote } = Split::of(worker);
    let shared = worker.inherited - worker.broken - worker.gone;
    [shared, ghost, differs, uncompared, zygote, worker.gone]
}

/// The data of the map as the document holds it, read by the description of the format alone.
struct Packed {
    workers: Vec<PackedWorker>,
}

struct PackedWorker {
    cells: Vec<u8>,
    steps: Vec<u8>,
    /// Page, last step, code.
    earlier: Vec<(usize, u8, u8)>,
}

fn element<'a>(document: &'a str, id: &str) -> &'a str {
    let rest = document.split(&format!("id=\"{id}\">")).nth(1).unwrap();
    rest.split("</script>").next().unwrap()
}

impl Packed {
    fn of(document: &str) -> Self {
        let index: Value = serde_json::from_str(element(document, "map-index")).unwrap();
        let runs = index["runs"].as_array().unwrap();
        let pages = runs.chunks(3).map(|run| run[1].as_u64().unwrap()).sum::<u64>() as usize;
        let worker = |(at, worker): (usize, &Value)| {
            let packed = STANDARD.decode(element(document, &format!("map-cells-{at}"))).unwrap();
            let mut data = Vec::new();
            flate2::read::DeflateDecoder::new(&packed[..]).read_to_end(&mut data).unwrap();
            PackedWorker::of(&data, pages, worker["earlier"].as_u64().unwrap() as usize)
        };
        Self { workers: index["workers"].as_array().unwrap().iter().enumerate().map(worker).collect() }
    }
}

impl PackedWorker {
    fn of(data: &[u8], pages: usize, earlier: usize) -> Self {
        let (cells, rest) = data.split_at(pages);
        let (steps, rest) = rest.split_at(pages);
        let (until, rest) = rest.split_at(earlier);
        let (codes, rest) = rest.split_at(earlier);
        let mut rest = rest.iter();
        let mut page = 0;
        let earlier = until.iter().zip(codes).map(|(&until, &code)| {
            let mut shift = 0;
            loop {
                let byte = usize::from(*rest.next().unwrap());
                page += (byte & 127) << shift;
                shift += 7;
                if byte < 128 {
                    return (page, until, code);
                }
            }
        });
        let earlier = earlier.collect();
        assert_eq!(rest.count(), cells.iter().filter(|&&code| code >> 3 == 2).count(), "changed bytes");
        Self { cells: cells.into(), steps: steps.into(), earlier }
    }

    /// Counts by looking each page up, first transition first.
    fn counts(&self, step: u8) -> Counts {
        let mut counts = [0; 6];
        let mut earlier = self.earlier.iter().peekable();
        for (page, (&cell, &first)) in self.cells.iter().zip(&self.steps).enumerate() {
            let mut code = None;
            while let Some((_, until, then)) = earlier.next_if(|earlier| earlier.0 == page) {
                code = code.or((step <= *until).then_some(*then));
            }
            counts[if first <= step { class(code.unwrap_or(cell)) } else { 0 }] += 1;
        }
        counts
    }
}

fn class(code: u8) -> usize {
    match (code & 7, code >> 3) {
        (0, _) => 0,
        (2, _) => 4,
        (4, _) => 5,
        (_, 1) => 1,
        (_, 2) => 2,
        _ => 3,
    }
}

fn check_data(recording: &Recording) {
    let packed = Packed::of(&html::render(recording).unwrap());
    for (number, step) in (0..).zip(&recording.steps) {
        for worker in &step.workers {
            let at = recording.pages.workers.iter().position(|pages| pages.worker == worker.worker).unwrap();
            assert_eq!(
                packed.workers[at].counts(number),
                by_table(worker),
                "worker {} after {}",
                worker.worker,
                step.name
            );
        }
    }
}

/// Moves the slider through all steps for every worker and notes what the legend says.
const PROBE: &str = "<script>
(async () => {
  const $ = id => document.getElementById(id);
  while ($('map-status').dataset.ready !== 'true') await new Promise(done => setTimeout(done, 20));
  const byState = document.querySelector('[data-colour=state]');
  if (byState) byState.click();
  const seen = [];
  for (const option of [...$('map-worker').options].filter(option => Number(option.value) >= 0)) {
    $('map-worker').value = option.value;
    $('map-worker').dispatchEvent(new Event('change'));
    for (let step = 0; step <= Number($('map-step').max); step++) {
      $('map-step').value = step;
      $('map-step').dispatchEvent(new Event('input'));
      seen.push([Number(option.value), step, [...$('map-legend').querySelectorAll('b')].map(b => Number(b.textContent.replaceAll(',', '')))]);
    }
  }
  const probe = document.createElement('pre');
  probe.id = 'probe';
  probe.textContent = JSON.stringify(seen);
  document.body.append(probe);
})();
</script></body>";

fn check_browser(recording: &Recording) {
    let document = html::render(recording).unwrap().replace("</body>", PROBE);
    let Some(seen) = opened(&document) else { return };
    assert_eq!(seen.console, Vec::<String>::new());
    let probe = seen.document.split("<pre id=\"probe\">").nth(1).expect("the probe ran to its end");
    let rows: Vec<(usize, usize, Counts)> =
        serde_json::from_str(probe.split("</pre>").next().unwrap()).unwrap();
    assert_eq!(rows.len(), recording.pages.workers.len() * recording.steps.len());
    for (at, step, shown) in rows {
        let worker = recording.pages.workers[at].worker;
        let step = &recording.steps[step];
        let Some(counted) = step.workers.iter().find(|counted| counted.worker == worker) else { continue };
        assert_eq!(shown, by_table(counted), "worker {worker} after {}", step.name);
    }
}

#[test]
fn every_step_of_a_made_up_map_is_that_of_the_table() {
    let recording = recording(SHAPE);
    let gone = |step: usize| recording.steps[step].workers.iter().map(|worker| worker.gone).sum::<u64>();
    assert!(gone(5) > gone(4), "the example changes late");
    assert!(recording.pages.workers.iter().all(|worker| worker.earlier.len() > 20));
    check_data(&recording);
    check_browser(&recording);
}

#[test]
fn every_step_of_a_measured_map_is_that_of_the_table() {
    let Some(recording) = measured() else { return };
    let (before, end) = (&recording.steps[recording.steps.len() - 2], recording.steps.last().unwrap());
    let gone = |workers: &[WorkerStep]| workers.iter().map(|worker| worker.gone).sum::<u64>();
    assert!(gone(&end.workers) > gone(&before.workers) + 100, "a shutdown gives memory back");
    check_data(&recording);
    check_browser(&recording);
}
