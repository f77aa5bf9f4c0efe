//! What the report says of breaks is what the recording holds: in its packed data, on the map, in the
//! rankings and in the flame graph.

#[path = "common/browser.rs"]
mod browser;
#[path = "common/skip.rs"]
mod skip;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use browser::opened;
use forkprint::family::breaks::{Break, Breaks};
use forkprint::family::recording::Recording;
use forkprint::family::synthetic::{Shape, recording};
use forkprint::report::html;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;

const SHAPE: Shape = Shape { pages: 4000, workers: 3, steps: 4, server: true, seed: 21 };

fn inflated(document: &str, id: &str) -> Vec<u8> {
    let rest = document.split(&format!("id=\"{id}\">")).nth(1).unwrap();
    let packed = STANDARD.decode(rest.split("</script>").next().unwrap()).unwrap();
    let mut data = Vec::new();
    flate2::read::DeflateDecoder::new(&packed[..]).read_to_end(&mut data).unwrap();
    data
}

/// Numbers of seven bits a byte, low bits first.
fn numbers(bytes: &[u8], count: usize) -> (Vec<u64>, &[u8]) {
    let mut at = 0;
    let mut number = || {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[at];
            at += 1;
            value |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return value;
            }
        }
    };
    let values: Vec<u64> = (0..count).map(|_| number()).collect();
    (values, &bytes[at..])
}

fn name(names: &Value, number: &Value) -> String {
    match number.as_u64().unwrap() {
        0 => String::new(),
        number => names[usize::try_from(number).unwrap() - 1].as_str().unwrap().to_owned(),
    }
}

/// Cause, type, field, owner and place of a row, from the tables of the recording alone.
fn told(breaks: &Breaks, row: &Break) -> [String; 5] {
    let text = |names: &[String], at: u32| names.get(at as usize).cloned().unwrap_or_default();
    let place = breaks.stack(row.frame).next().map(|frame| {
        let function = &breaks.functions[frame.function as usize];
        format!("{}:{} {}", function.file.rsplit('/').next().unwrap(), frame.line, function.name)
    });
    [
        row.cause.name().to_owned(),
        text(&breaks.types, row.ty),
        text(&breaks.fields, row.field),
        breaks.owner_path(row.owner),
        place.unwrap_or_default(),
    ]
}

#[test]
fn the_packed_breaks_are_those_of_the_recording() {
    let recording = recording(SHAPE);
    let document = html::render(&recording).unwrap();
    let index: Value = serde_json::from_slice(&inflated(&document, "map-break-index")).unwrap();
    for (at, worker) in recording.pages.workers.iter().enumerate() {
        let rows = recording.breaks.of_worker(worker.worker);
        assert_eq!(index["rows"][at], rows.len());
        let bytes = inflated(&document, &format!("map-breaks-{at}"));
        let (distances, rest) = numbers(&bytes, rows.len());
        let (stories, rest) = numbers(rest, rows.len());
        let (threads, rest) = numbers(rest, rows.len());
        let (high, low) = rest.split_at(rows.len());
        assert_eq!(low.len(), rows.len());
        let mut page = 0;
        for (number, row) in rows.iter().enumerate() {
            page += distances[number];
            assert_eq!(page, u64::from(row.page));
            let story = &index["stories"][stories[number] as usize];
            let cause = index["causes"][story[0].as_u64().unwrap() as usize][1].as_str().unwrap().to_owned();
            let seen = [
                cause,
                name(&index["types"], &story[2]),
                name(&index["fields"], &story[3]),
                name(&index["owners"], &story[4]),
                name(&index["places"], &story[6]),
            ];
            assert_eq!(seen, told(&recording.breaks, row));
            assert_eq!(index["threads"][threads[number] as usize], row.thread);
            assert_eq!(u16::from_be_bytes([high[number], low[number]]), row.offset);
        }
    }
}

/// Runs a script once the map is drawn; what it returns is found in the document.
fn probed(recording: &Recording, script: &str) -> Option<Value> {
    let probe = format!(
        "<script>(async () => {{
  const $ = id => document.getElementById(id), wait = () => new Promise(done => setTimeout(done, 30));
  while ($('map-status').dataset.ready !== 'true' || $('flame').dataset.ready !== 'true') await wait();
  const set = (id, value, event) => {{ $(id).value = value; $(id).dispatchEvent(new Event(event)); }};
  const press = (id, key) => $(id).dispatchEvent(new KeyboardEvent('keydown', {{ key, bubbles: true }}));
  const legend = () => Object.fromEntries([...$('map-legend').children].filter(button => !button.hidden).map(button => [button.childNodes[1].textContent, Number(button.querySelector('b').textContent.replaceAll(',', ''))]));
  const probe = document.createElement('pre');
  probe.id = 'probe';
  probe.textContent = JSON.stringify(await (async () => {{ {script} }})());
  document.body.append(probe);
}})();</script></body>"
    );
    let seen = opened(&html::render(recording).unwrap().replace("</body>", &probe))?;
    assert_eq!(seen.console, Vec::<String>::new());
    let found = seen.document.split("<pre id=\"probe\">").nth(1).expect("the probe ran to its end");
    let text = found.split("</pre>").next().unwrap();
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    Some(serde_json::from_str(&text).unwrap())
}

/// Broken pages of a worker after a step by cause, counted row by row.
fn causes(
    recording: &Recording,
    worker: usize,
    step: u8,
    keep: impl Fn(&Break) -> bool,
) -> BTreeMap<String, u64> {
    let pages = &recording.pages.workers[worker];
    let states = pages.at_step(step);
    let mut counts = BTreeMap::new();
    for row in recording.breaks.of_worker(pages.worker).iter().filter(|row| keep(row)) {
        if states[row.page as usize].0.broken() {
            *counts.entry(row.cause.name().to_owned()).or_default() += 1;
        }
    }
    counts
}

fn shown(legend: &Value) -> BTreeMap<String, u64> {
    let all = legend.as_object().unwrap().iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap()));
    all.filter(|(name, count)| *count > 0 && name != "shared" && name != "unmapped").collect()
}

#[test]
fn the_map_counts_causes_at_every_step_and_finds_owners() {
    let recording = recording(SHAPE);
    let script = "
      const seen = [];
      for (const query of ['', 'owner:shop.CATALOG', 'line:session.py:25 Session.touch', 'UNICODE_HASH']) {
        set('map-find', query, 'input');
        for (let worker = 0; worker < 3; worker++) {
          set('map-worker', worker, 'change');
          for (let step = 0; step <= 4; step++) { set('map-step', step, 'input'); seen.push(legend()); }
        }
      }
      return seen;";
    let Some(seen) = probed(&recording, script) else { return };
    let breaks = &recording.breaks;
    let keeps: [&dyn Fn(&Break) -> bool; 4] = [
        &|_| true,
        &|row| {
            let path = breaks.owner_path(row.owner);
            path == "shop.CATALOG" || path.starts_with("shop.CATALOG[") || path.starts_with("shop.CATALOG.")
        },
        &|row| told(breaks, row)[4] == "session.py:25 Session.touch",
        &|row| breaks.writers.get(row.writer as usize).is_some_and(|writer| writer.symbol == "unicode_hash"),
    ];
    let mut seen = seen.as_array().unwrap().iter();
    for (query, keep) in keeps.iter().enumerate() {
        let mut found = 0;
        for worker in 0..3 {
            for step in 0..=4 {
                let expected = causes(&recording, worker, step, keep);
                found += expected.values().sum::<u64>();
                assert_eq!(
                    shown(seen.next().unwrap()),
                    expected,
                    "query {query}, worker {worker}, step {step}"
                );
            }
        }
        assert!(found > 0, "query {query} finds something");
    }
}

#[test]
fn the_keyboard_reads_what_broke_a_page() {
    let recording = recording(SHAPE);
    let script = "
      set('map-step', 4, 'input');
      const seen = [];
      for (let at = 0; at < 12; at++) { press('map', 'n'); seen.push($('map-cell').textContent); }
      set('map-worker', -1, 'change');
      seen.push($('map-cell').textContent);
      return seen;";
    let Some(seen) = probed(&recording, script) else { return };
    let seen: Vec<&str> = seen.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let words: Vec<[String; 5]> =
        recording.breaks.rows.iter().map(|row| told(&recording.breaks, row)).collect();
    for text in &seen[..12] {
        let told = words.iter().any(|[cause, ty, field, owner, place]| {
            text.contains(&format!("cause: {cause} ("))
                && (ty.is_empty()
                    || text.contains(&format!("object: {ty}.{}", field.trim_start_matches('.'))))
                && (owner.is_empty() || text.contains(&format!("owner: {owner} ·")))
                && (place.is_empty() || text.contains(&format!("line: {place}")))
        });
        assert!(told, "{text}");
    }
    assert!(
        seen[..12].iter().any(|text| text.contains("writer: ") && text.contains("· thread 41")),
        "{seen:?}"
    );
    assert!(seen[12].contains("workers: · cause: ") || seen[12].contains("workers:"), "{}", seen[12]);
}

#[test]
fn the_flame_graph_shows_every_call_and_zooms_by_keyboard() {
    let recording = recording(SHAPE);
    let script = "
      const boxes = () => [...$('flame').children].map(box => [box.flameNode.label, box.flameNode.pages]);
      const all = boxes();
      press('flame', 'ArrowDown');
      press('flame', 'Enter');
      const zoomed = { top: $('flame-cell').textContent, full: [...$('flame').children].filter(box => box.style.width === '100%').length, reset: $('flame-reset').disabled };
      press('flame', 'Escape');
      press('flame', 'Escape');
      set('flame-find', 'session.touch', 'input');
      return { all, zoomed, after: boxes().length, found: $('flame-cell').textContent };";
    let Some(seen) = probed(&recording, script) else { return };
    let breaks = &recording.breaks;
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for row in &breaks.rows {
        for frame in breaks.stack(row.frame) {
            let function = &breaks.functions[frame.function as usize];
            let file = function.file.rsplit('/').next().unwrap();
            *expected.entry(format!("{} ({file}:{})", function.name, frame.line)).or_default() += 1;
        }
    }
    let mut drawn: BTreeMap<String, u64> = BTreeMap::new();
    for call in seen["all"].as_array().unwrap() {
        *drawn.entry(call[0].as_str().unwrap().to_owned()).or_default() += call[1].as_u64().unwrap();
    }
    let wide = breaks.rows.len() as u64 / 20;
    assert_eq!(drawn["all broken pages"], breaks.rows.len() as u64);
    assert!(expected.values().any(|&pages| pages > wide));
    for (call, pages) in expected.iter().filter(|(_, pages)| **pages > wide) {
        assert_eq!(drawn.get(call), Some(pages), "{call}");
    }
    assert!(
        seen["zoomed"]["top"].as_str().unwrap().starts_with("<module> (gunicorn:8) · "),
        "{}",
        seen["zoomed"]
    );
    assert!(seen["zoomed"]["full"].as_u64().unwrap() >= 2 && seen["zoomed"]["reset"] == false);
    assert_eq!(seen["after"], seen["all"].as_array().unwrap().len());
    let touched = expected["Session.touch (session.py:25)"] * 4096;
    let found = seen["found"].as_str().unwrap();
    assert!(touched > 0 && found.contains("calls match: ") && !found.contains(": 0 B"), "{found}");
}

#[test]
fn the_rankings_stand_in_the_document_without_scripts() {
    let recording = recording(SHAPE);
    let document = html::render(&recording).unwrap();
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for row in &recording.breaks.rows {
        *lines.entry(told(&recording.breaks, row)[4].clone()).or_default() += 1;
    }
    let (line, _) = lines.iter().max_by_key(|(_, pages)| **pages).unwrap();
    assert!(document.contains(&format!("data-find=\"line:{line}\"")), "{line}");
    assert!(
        document.contains("data-find=\"owner:shop.CATALOG[*].tags\"")
            && document.contains("<div class=\"owned\">")
    );
    assert!(document.contains("is no\n  saving") || document.contains("is no saving"));
    let equation = document.split("<p class=\"equation\">").nth(1).unwrap().split("</p>").next().unwrap();
    assert!(equation.contains("explained") && equation.contains("floor") && equation.contains("unexplained"));
    assert!(document.contains("<dt>Witness</dt><dd><b>sigtrap</b>"));
}
