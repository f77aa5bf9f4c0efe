//! Advice and forecasts as text and HTML: hostile text stays inert, nothing is fetched, a browser draws it.

#[path = "common/browser.rs"]
mod browser;
#[path = "common/made_up.rs"]
mod made_up;
#[path = "common/skip.rs"]
mod skip;

use browser::opened;
use forkprint::forecast::Forecast;
use forkprint::report::advice::{self, Advice, Estimate, Verdict};
use forkprint::report::{forecast, gallery};
use made_up::HOSTILE;

fn documents() -> [String; 2] {
    [advice::html::render(&made_up::advice()).unwrap(), forecast::html::render(&made_up::forecast()).unwrap()]
}

fn hostile_advice() -> Advice {
    let mut advice = made_up::advice();
    let text = || HOSTILE.to_owned();
    for field in [
        &mut advice.command,
        &mut advice.title,
        &mut advice.file,
        &mut advice.runtime_version,
        &mut advice.kernel,
        &mut advice.machine,
    ] {
        field.push_str(HOSTILE);
    }
    advice.notes.push(text());
    for rule in &mut advice.rules {
        rule.code.push_str(HOSTILE);
        rule.title.push_str(HOSTILE);
        rule.evidence.push_str(HOSTILE);
        rule.caveats.push(text());
    }
    for variant in &mut advice.variants {
        variant.name.push_str(HOSTILE);
        variant.codes.push(text());
        variant.failure = variant.failure.as_ref().map(|_| text());
    }
    advice.waterfall.steps.iter_mut().for_each(|step| step.label.push_str(HOSTILE));
    let best = advice.recommended.as_mut().unwrap();
    best.diff.push_str(HOSTILE);
    best.environment.push(text());
    best.codes.push(text());
    for recording in [&mut advice.before, &mut advice.after].into_iter().flatten() {
        recording.pages.regions.iter_mut().for_each(|region| region.push_str(HOSTILE));
        recording.steps.iter_mut().for_each(|step| step.name.push_str(HOSTILE));
    }
    advice
}

fn hostile_forecast() -> Forecast {
    let mut forecast = made_up::forecast();
    forecast.command.push_str(HOSTILE);
    forecast.title.push_str(HOSTILE);
    forecast.notes.push(HOSTILE.into());
    forecast.budget.as_mut().unwrap().source.push_str(HOSTILE);
    forecast.classes.iter_mut().for_each(|class| class.name.push_str(HOSTILE));
    for pays in &mut forecast.break_even {
        pays.what.push_str(HOSTILE);
        pays.because.push_str(HOSTILE);
    }
    forecast
}

#[test]
fn hostile_text_stays_text() {
    let attacked = [
        advice::html::render(&hostile_advice()).unwrap(),
        forecast::html::render(&hostile_forecast()).unwrap(),
    ];
    for (attacked, harmless) in attacked.iter().zip(documents()) {
        assert!(!attacked.contains("<img") && !attacked.contains('\u{1b}'));
        for tag in ["<script", "</script>", "<style", "</style>"] {
            assert_eq!(attacked.matches(tag).count(), harmless.matches(tag).count(), "{tag}");
        }
        if let Some(seen) = opened(attacked) {
            assert_eq!(seen.console, Vec::<String>::new());
            assert!(!seen.document.contains("<title>owned") && !seen.document.contains("<img"));
        }
    }
    let text = advice::text::render(&hostile_advice(), 80, false);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    let cards = gallery::render(&[
        gallery::Entry::of_advice(&hostile_advice(), "a.html"),
        gallery::Entry::of_forecast(&hostile_forecast(), "f.html"),
    ]);
    assert!(!cards.unwrap().contains("<img"));
}

#[test]
fn the_reports_fetch_nothing() {
    for document in documents() {
        for sign in ["http://", "https://", "src=\"", "@import", "url("] {
            assert!(!document.contains(sign), "{sign}");
        }
        assert!(document.contains("default-src &#x27;none&#x27;") || document.contains("default-src 'none'"));
    }
}

#[test]
fn sections_charts_and_maps_have_names() {
    let [advice, forecast] = documents();
    for document in [&advice, &forecast] {
        for section in document.split("<section").skip(1) {
            assert!(section.split('>').next().unwrap().contains("aria-labelledby=\""), "{section:.80}");
        }
        let labels = document.split("aria-labelledby=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        for label in labels {
            assert_eq!(document.matches(&format!("id=\"{label}\"")).count(), 1, "{label}");
        }
        assert!(document.matches("<h1").count() == 1 && !document.contains("NaN"));
    }
    assert!(forecast.contains("<td>32.0 %<small>95 % CI 29.0 % to 35.0 %"), "the plateau of all pages");
    let charts: Vec<&str> = forecast.split("<figure>").skip(1).collect();
    assert_eq!(charts.len(), 4);
    for chart in charts {
        let chart = chart.split("</figure>").next().unwrap();
        assert!(chart.contains("role=\"img\"") && chart.contains("<title>") && chart.contains("<desc>"));
        assert!(!chart.contains("\"#"), "a colour that does not follow the theme");
    }
    for side in ["before", "after"] {
        assert!(
            advice.contains(&format!(
                "<canvas id=\"{side}-map\" tabindex=\"0\" role=\"application\" aria-label="
            ))
        );
    }
}

#[test]
fn a_browser_paints_both_maps_and_counts_what_was_measured() {
    let advice = made_up::advice();
    let Some(seen) = opened(&advice::html::render(&advice).unwrap()) else { return };
    assert_eq!(seen.console, Vec::<String>::new());
    let status = seen.document.split("id=\"pair-status\"").nth(1).unwrap().split("</p>").next().unwrap();
    assert!(status.contains("data-ready=\"true\""), "{status}");
    let legend = seen.document.split("id=\"pair-legend\"").nth(1).unwrap().split("</div>").next().unwrap();
    let shown: Vec<(u64, u64)> = legend
        .split("<b>")
        .skip(1)
        .map(|rest| {
            let (before, after) = rest.split("</b>").next().unwrap().split_once(" → ").unwrap();
            let count = |text: &str| text.replace(',', "").parse().unwrap();
            (count(before), count(after))
        })
        .collect();
    let before = advice.before.as_ref().unwrap();
    let most =
        before.steps.iter().map(|step| step.workers.iter().map(|one| one.broken).sum::<u64>()).max().unwrap();
    let worst = before
        .steps
        .iter()
        .rposition(|step| step.workers.iter().map(|one| one.broken).sum::<u64>() * 100 >= most * 99)
        .unwrap();
    let worker = &before.steps[worst].workers[0];
    let shared = worker.inherited - worker.broken - worker.gone;
    assert_eq!(shown[0].0, shared, "shared pages of the first worker");
    assert_eq!(shown.iter().map(|pair| pair.0).sum::<u64>(), worker.inherited);
    let broken = |pairs: &[(u64, u64)]| pairs[1].1 + pairs[2].1 + pairs[3].1;
    assert!(broken(&shown) * 4 < shown[1].0 + shown[2].0 + shown[3].0, "{shown:?}");
}

#[test]
fn what_did_not_help_is_said_plainly() {
    let mut advice = made_up::advice();
    let unwrapped = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = |advice: &Advice| {
        [advice::html::render(advice).unwrap(), unwrapped(advice::text::render(advice, 80, false))]
    };
    for shown in shown(&advice) {
        for words in ["does not help", "costs memory", "libjemalloc.so.2 cannot be preloaded", "212.0 MiB"] {
            assert!(shown.contains(words), "{words}");
        }
    }
    advice.recommended = None;
    advice.variants.retain(|one| one.verdict != Verdict::Helps);
    for shown in shown(&advice) {
        assert!(shown.contains("None of the 3 variants that were measured gives memory back."), "{shown}");
    }
}

#[test]
fn the_text_fits_a_terminal() {
    let advice = made_up::advice();
    for columns in [80, 100, 120] {
        let text = advice::text::render(&advice, columns, false);
        assert!(text.lines().count() <= 75, "{} lines", text.lines().count());
        for line in text.lines() {
            assert!(line.chars().count() <= columns, "{} columns: {line}", line.chars().count());
        }
    }
    let coloured = advice::text::render(&advice, 80, true);
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), advice::text::render(&advice, 80, false));
}

#[test]
fn what_is_empty_interrupted_or_no_number_is_drawn_too() {
    advice::html::render(&Advice::default()).unwrap();
    assert!(advice::text::render(&Advice::default(), 80, false).contains("No remedy was measured"));
    assert!(forecast::html::render(&Forecast::default()).unwrap().contains("No family size"));
    let mut broken = made_up::advice();
    let nonsense = Estimate { low: f64::NAN, mean: f64::INFINITY, high: f64::NEG_INFINITY };
    broken.complete = false;
    broken.variants[1].saving = nonsense;
    broken.waterfall.steps[0].saving = nonsense;
    broken.waterfall.limit = f64::NAN;
    let document = advice::html::render(&broken).unwrap();
    assert!(document.contains("Interrupted") && !document.contains("NaN%") && !document.contains("inf%"));
    advice::text::render(&broken, 80, false);
    let mut odd = made_up::forecast();
    odd.families[5].distinct.estimate = f64::NAN;
    odd.classes[0].fitted[3].broken.high = f64::INFINITY;
    let document = forecast::html::render(&odd).unwrap();
    assert!(!document.contains("NaN") && !document.contains("Linf"));
}

#[test]
fn many_pages_stay_small() {
    let mut advice = made_up::advice();
    let shape =
        forkprint::family::synthetic::Shape { pages: 200_000, workers: 2, steps: 3, server: false, seed: 3 };
    let large = || Some(Box::new(forkprint::family::synthetic::recording(shape)));
    (advice.before, advice.after) = (large(), large());
    let document = advice::html::render(&advice).unwrap();
    assert!(document.len() < 1_000_000, "{}", document.len());
    let Some(seen) = opened(&document) else { return };
    assert_eq!(seen.console, Vec::<String>::new());
    assert!(seen.document.contains("data-ready=\"true\""));
}
