//! Golden text and JSON, and the rules of writing files.

use clap::Parser;
use forkprint::cli::output::{DocumentArgs, OutputArgs, emit};
use forkprint::family::recording::{Fate, Recording};
use forkprint::family::synthetic::{Shape, recording};
use forkprint::report::{json, text};
use std::fs;

fn example() -> Recording {
    recording(Shape { pages: 2000, workers: 2, steps: 2, server: true, seed: 9 })
}

#[test]
fn text_fits_one_screen() {
    let mut recording = example();
    let screen = text::render(&recording, 80, false);
    assert!(
        screen.lines().count() <= 50 && screen.lines().all(|line| line.chars().count() <= 80),
        "{screen}"
    );
    assert!(screen.lines().last().unwrap().starts_with("next: "));
    insta::assert_snapshot!(screen);
    recording.findings.clear();
    let screen = text::render(&recording, 80, false);
    assert!((24..=41).contains(&screen.lines().count()), "{}\n{screen}", screen.lines().count());
}

#[test]
fn text_stays_one_screen_for_large_families_and_narrow_terminals() {
    let large = recording(Shape { pages: 2000, workers: 40, steps: 30, server: false, seed: 9 });
    for (width, most) in [(60, 78), (80, 58), (120, 49)] {
        let screen = text::render(&large, width, false);
        assert!(screen.lines().count() <= most, "{}\n{screen}", screen.lines().count());
        assert!(
            screen.lines().all(|line| line.chars().count() <= width || line.starts_with("next: ")),
            "{screen}"
        );
    }
}

#[test]
fn text_is_coloured_only_where_asked_and_never_by_the_program() {
    let mut recording = example();
    recording.about.title = "\u{1b}[2Jgone".into();
    recording.workers[1].fate = Fate::Failed { message: "\u{1b}]0;owned\u{7}".into(), step: "x".into() };
    assert!(!text::render(&recording, 80, false).contains('\u{1b}'));
    let coloured = text::render(&recording, 80, true);
    assert!(coloured.contains('\u{1b}') && !coloured.contains("\u{1b}[2J") && !coloured.contains("\u{1b}]"));
}

#[test]
fn json_is_the_stable_contract() {
    let value: serde_json::Value = serde_json::from_str(&json::render(&example())).unwrap();
    let worker = &value["steps"][2]["workers"][0];
    assert_eq!(worker["inherited"], 2000);
    assert!(value["family"]["pss_bytes"].as_u64().unwrap() > 0);
    let explained = &value["explained"];
    for ranking in ["by_line", "by_function", "by_type", "by_cause", "by_module"] {
        let rows = explained[ranking].as_array().unwrap();
        let pages: u64 = rows.iter().map(|row| row["pages"].as_u64().unwrap()).sum();
        assert_eq!(pages, example().breaks.rows.len() as u64, "{ranking}");
    }
    assert_eq!(explained["by_field"].as_array().unwrap().len(), 20, "the top of a longer list");
    insta::assert_json_snapshot!(value, {
        ".about.forkprint_version" => "[version]",
        ".steps[0:2].ledger.shares" => "[shares]",
        ".explained.*[].share" => "[share]",
        ".explained.by_function[1:]" => "[…]",
        ".explained.by_type[1:]" => "[…]",
        ".explained.by_field[1:]" => "[…]",
        ".explained.by_owner[2:]" => "[…]",
        ".explained.by_writer[1:]" => "[…]",
    });
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    output: OutputArgs,
}

fn parsed(words: &[&str]) -> OutputArgs {
    Line::parse_from(std::iter::once("x").chain(words.iter().copied())).output
}

#[test]
fn the_ending_tells_the_form_and_nothing_is_overwritten_without_force() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    for (name, sign) in [("a.html", "<!doctype html>"), ("a.json", "{\n"), ("deep/er/a.txt", "catalog.py")] {
        let args =
            parsed(&["-o", &at(name), "--capture", &at(&format!("{}.forkprint", name.replace('/', "-")))]);
        args.check().unwrap();
        emit(&example(), &args).unwrap();
        assert!(fs::read_to_string(at(name)).unwrap().starts_with(sign), "{name}");
        let refusal = args.check().unwrap_err().to_string();
        assert!(refusal.starts_with("refusing to overwrite") && refusal.contains("--force"), "{refusal}");
        assert!(emit(&example(), &args).is_err());
        let forced = OutputArgs { document: DocumentArgs { force: true, ..args.document }, ..args };
        forced.check().unwrap();
        emit(&example(), &forced).unwrap();
    }
    let left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_cannot_be_written_is_refused_before_the_measurement() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    fs::write(at("plain"), "").unwrap();
    let cases = [
        (parsed(&["-o", &at("report.pdf")]), "--format"),
        (parsed(&["-o", &at("")]), "folder"),
        (parsed(&["-o", &at("plain/report.html")]), "cannot write there"),
        (parsed(&["--capture", &at("plain")]), "not a capture"),
    ];
    for (args, expected) in cases {
        let refusal = args.check().unwrap_err().to_string();
        assert!(refusal.contains(expected), "{expected} in {refusal}");
    }
}
