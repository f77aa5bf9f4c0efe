//! The HTML report: hostile text stays inert, nothing is fetched, and a browser draws what was measured.

#[path = "common/browser.rs"]
mod browser;
#[path = "common/skip.rs"]
mod skip;

use browser::opened;
use forkprint::family::Breaks;
use forkprint::family::recording::{Fate, Finding, PageHistory, Recording, Rung, WorkerInfo};
use forkprint::family::synthetic::{Shape, recording};
use forkprint::report::{gallery, html};

const SMALL: Shape = Shape { pages: 3000, workers: 2, steps: 3, server: false, seed: 5 };
const HOSTILE: &str =
    "</script></style><script>document.title='owned'</script><img src=x onerror=alert(1)>\u{202e}\"'&";

fn hostile() -> Recording {
    let mut recording = recording(SMALL);
    let text = || HOSTILE.to_owned();
    recording.about.title = text();
    recording.about.description = text();
    recording.about.command = text();
    recording.about.machine = text();
    recording.about.kernel = text();
    recording.about.runtime_version = text();
    recording.about.notes = vec![text()];
    recording.findings = vec![Finding { code: text(), title: text(), evidence: text(), fix: text() }];
    recording.workers[0].fate = Fate::Failed { message: text(), step: text() };
    recording.pages.regions.iter_mut().for_each(|region| region.push_str(HOSTILE));
    let breaks = &mut recording.breaks;
    for name in breaks.types.iter_mut().chain(&mut breaks.fields) {
        name.push_str(HOSTILE);
    }
    breaks.owners.iter_mut().for_each(|owner| owner.label.push_str(HOSTILE));
    for writer in &mut breaks.writers {
        writer.symbol.push_str(HOSTILE);
        writer.library.push_str(HOSTILE);
    }
    for function in &mut breaks.functions {
        function.name.push_str(HOSTILE);
        function.file.push_str(HOSTILE);
    }
    for step in &mut recording.steps {
        step.name.push_str(HOSTILE);
        step.regions =
            step.regions.iter().map(|(name, &pages)| (format!("{name}{HOSTILE}"), pages)).collect();
        step.causes.insert(text(), 7);
    }
    recording
}

#[test]
fn hostile_text_stays_text() {
    let harmless = html::render(&recording(SMALL)).unwrap();
    let attacked = html::render(&hostile()).unwrap();
    assert!(!attacked.contains("<img"), "no element was smuggled in");
    for tag in ["<script", "</script>", "<style", "</style>"] {
        assert_eq!(attacked.matches(tag).count(), harmless.matches(tag).count(), "{tag}");
    }
    let cards = gallery::render(&[gallery::Entry::of(&hostile(), "a\"onclick=alert(1).html")]).unwrap();
    assert!(!cards.contains("<img") && !cards.contains("<script") && !cards.contains("\"onclick"), "{cards}");
}

#[test]
fn the_report_fetches_nothing() {
    let document = html::render(&recording(SMALL)).unwrap();
    let outside = document.replace("http://www.w3.org/2000/svg", "");
    for sign in ["http://", "https://", "src=\"", "@import", "url("] {
        assert!(!outside.contains(sign), "{sign}");
    }
    assert!(document.contains("default-src &#x27;none&#x27;") || document.contains("default-src 'none'"));
}

#[test]
fn every_chart_has_a_name_and_a_description_and_only_palette_colours() {
    let document = html::render(&recording(SMALL)).unwrap();
    let charts: Vec<&str> =
        document.split("<figure>").skip(1).filter_map(|rest| rest.split("</figure>").next()).collect();
    assert!(charts.len() >= 4);
    for chart in charts {
        assert!(chart.contains("<title>") && chart.contains("<desc>") && chart.contains("role=\"img\""));
        assert!(!chart.contains("\"#"), "a colour that does not follow the theme");
    }
}

#[test]
fn recordings_without_pages_steps_or_workers_are_drawn_too() {
    let mut no_detail = Recording { pages: PageHistory::default(), ..recording(SMALL) };
    no_detail.about.rung = Rung::Rollup;
    let mut nobody = Recording::default();
    nobody.workers.push(WorkerInfo {
        worker: 0,
        pid: 7,
        fate: Fate::Killed { signal: "SIGSEGV".into(), step: "load".into() },
    });
    let mut only_fork = recording(SMALL);
    only_fork.steps.truncate(1);
    for (recording, expected) in [
        (no_detail, "Broken pages by step"),
        (nobody, "was killed by SIGSEGV"),
        (only_fork, "Right after the fork"),
        (Recording::default(), "No worker lived"),
    ] {
        let document = html::render(&recording).unwrap();
        assert!(document.contains(expected), "{expected}");
    }
}

#[test]
fn a_million_pages_stay_below_three_megabytes() {
    let mut recording = recording(Shape { pages: 1_000_000, workers: 2, steps: 5, server: false, seed: 2 });
    let explained = html::render(&recording).unwrap().len();
    recording.breaks = Breaks::default();
    let pages = html::render(&recording).unwrap().len();
    assert!(pages < 3_000_000, "{pages}");
    assert!(explained < 3 * pages, "{explained} with the breaks, {pages} without");
}

fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

#[test]
fn a_browser_counts_the_pages_that_were_measured() {
    let mut recording = recording(SMALL);
    recording.breaks = Breaks::default();
    let worker = &recording.steps.last().unwrap().workers[0];
    let zygote_only = worker.broken - worker.broken_by_worker;
    let shared = worker.inherited - worker.broken - worker.gone;
    let ghost_or_unknown =
        worker.ghost - worker.ghost_zygote_only + worker.uncompared - worker.uncompared_zygote_only;
    let differs = worker.broken_by_worker - ghost_or_unknown;
    let expected = [
        format!(
            "after “{}”: {} inherited pages: {} shared",
            recording.steps[3].name,
            grouped(worker.inherited),
            grouped(shared)
        ),
        format!("{} identical copy (ghost)", grouped(worker.ghost - worker.ghost_zygote_only)),
        format!("{} copy with new data", grouped(differs)),
        format!("{zygote_only} written by the zygote"),
    ];
    assert!(zygote_only > 0 && worker.uncompared > 0, "the example shows every state");
    let Some(seen) = opened(&html::render(&recording).unwrap()) else { return };
    assert_eq!(seen.console, Vec::<String>::new());
    let status =
        seen.document.split("id=\"map-status\"").nth(1).and_then(|rest| rest.split("</p>").next()).unwrap();
    assert!(status.contains("data-ready=\"true\""), "{status}");
    for part in expected {
        assert!(status.contains(&part), "{part} in {status}");
    }
}

#[test]
fn a_browser_is_not_fooled_by_hostile_text() {
    let hostile = html::render(&hostile()).unwrap();
    let walk = "<script>setTimeout(() => {
  for (const id of ['map', 'flame']) for (const key of ['n', 'ArrowDown', 'ArrowDown', 'Enter']) document.getElementById(id).dispatchEvent(new KeyboardEvent('keydown', { key }));
}, 3000);</script></body>";
    let Some(seen) = opened(&hostile.replace("</body>", walk)) else { return };
    assert_eq!(seen.console, Vec::<String>::new());
    assert!(!seen.document.contains("<title>owned") && !seen.document.contains("<img"));
    assert_eq!(seen.document.matches("data-ready=\"true\"").count(), 2, "map and flame graph are drawn");
    assert!(seen.document.contains("cause: "), "the texts of breaks were shown");
}
