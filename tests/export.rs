//! Flame graphs of broken bytes: every broken page is in them once, under the stack that wrote it first.

use assert_cmd::Command;
use forkprint::capture;
use forkprint::family::Breaks;
use forkprint::family::breaks::Flags;
use forkprint::family::recording::Recording;
use forkprint::family::synthetic::{Shape, recording};
use forkprint::report::{folded, speedscope};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: u64 = 4096;

fn example() -> Recording {
    recording(Shape { pages: 3000, workers: 3, steps: 4, server: true, seed: 7 })
}

/// A line of folded stacks, as `stackcollapse` and `flamegraph.pl` read it: up to the last blank.
fn parsed(line: &str) -> (Vec<&str>, u64) {
    let (stack, bytes) = line.rsplit_once(' ').unwrap();
    (stack.split(';').collect(), bytes.parse().unwrap())
}

#[test]
fn folded_stacks_hold_every_broken_byte_once() {
    let recording = example();
    let text = folded::render(&recording);
    let lines: Vec<_> = text.lines().map(parsed).collect();
    let bytes: u64 = lines.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(bytes, recording.breaks.rows.len() as u64 * PAGE);
    assert!(text.lines().is_sorted(), "the same stacks give the same file");
    for frame in
        ["SyncWorker.run (/usr/lib/python3/site-packages/gunicorn/workers/sync.py:126)", "no Python line"]
    {
        assert!(lines.iter().any(|(stack, _)| stack.contains(&frame)), "{frame} in {text}");
    }
    let iterate: u64 = lines
        .iter()
        .filter(|(stack, _)| stack.contains(&"iterate (/srv/shop/shop.py:14)"))
        .map(|l| l.1)
        .sum();
    let breaks = &recording.breaks;
    let truth = breaks.rows.iter().filter(|row| {
        breaks.stack(row.frame).any(|frame| breaks.functions[frame.function as usize].name == "iterate")
    });
    assert_eq!(iterate, truth.count() as u64 * PAGE);
}

#[test]
fn hostile_names_end_neither_a_frame_nor_a_line() {
    let mut recording = example();
    let plain = folded::render(&recording);
    for function in &mut recording.breaks.functions {
        function.name.insert_str(0, "a;b\n1 ");
        function.file.push_str("\r\n;");
    }
    let hostile = folded::render(&recording);
    let depths = |text: &str| {
        let mut depths: BTreeMap<usize, u64> = BTreeMap::new();
        text.lines().map(parsed).for_each(|(stack, bytes)| *depths.entry(stack.len()).or_default() += bytes);
        depths
    };
    assert_eq!(depths(&plain), depths(&hostile));
}

#[test]
fn what_the_kernel_the_zygote_and_native_code_wrote_is_marked() {
    let mut recording = example();
    recording.breaks.rows.truncate(1);
    let row = &mut recording.breaks.rows[0];
    row.frame = 0;
    let stack = |recording: &Recording| folded::render(recording).trim_end().to_owned();
    let plain = parsed(&stack(&recording)).0.join(";");
    for (flag, expected) in [
        (Flags::BY_KERNEL, format!("{plain};kernel")),
        (Flags::GIL_RELEASED, format!("{plain};native code without the GIL")),
        (Flags::BY_ZYGOTE, format!("zygote;{plain}")),
        (Flags::CUT, format!("outer calls not recorded;{plain}")),
    ] {
        recording.breaks.rows[0].flags = Flags(Flags::SEEN | flag);
        assert_eq!(stack(&recording), format!("{expected} 4096"));
    }
}

/// The rules of <https://www.speedscope.app/file-format-schema.json> for sampled profiles.
fn assert_is_speedscope(file: &Value) {
    assert_eq!(file["$schema"], "https://www.speedscope.app/file-format-schema.json");
    let frames = file["shared"]["frames"].as_array().unwrap();
    for frame in frames {
        assert!(frame["name"].is_string());
        assert!(
            frame.get("file").is_none_or(Value::is_string) && frame.get("line").is_none_or(Value::is_u64)
        );
    }
    let profiles = file["profiles"].as_array().unwrap();
    assert!((file["activeProfileIndex"].as_u64().unwrap() as usize) < profiles.len());
    for profile in profiles {
        assert_eq!((&profile["type"], &profile["unit"]), (&"sampled".into(), &"bytes".into()));
        assert!(profile["name"].is_string() && profile["startValue"] == 0);
        let samples = profile["samples"].as_array().unwrap();
        let weights = profile["weights"].as_array().unwrap();
        assert_eq!(samples.len(), weights.len());
        assert_eq!(profile["endValue"], weights.iter().map(|weight| weight.as_u64().unwrap()).sum::<u64>());
        for sample in samples {
            let stack = sample.as_array().unwrap();
            assert!(!stack.is_empty());
            assert!(stack.iter().all(|frame| (frame.as_u64().unwrap() as usize) < frames.len()));
        }
    }
}

#[test]
fn speedscope_has_a_profile_of_all_and_one_of_each_worker() {
    let recording = example();
    let file: Value = serde_json::from_str(&speedscope::render(&recording)).unwrap();
    assert_is_speedscope(&file);
    let names: Vec<_> = file["profiles"].as_array().unwrap().iter().map(|profile| &profile["name"]).collect();
    assert_eq!(names, ["all, 3 workers", "worker 0", "worker 1", "worker 2"]);
    assert_eq!(file["profiles"][0]["endValue"], recording.breaks.rows.len() as u64 * PAGE);
    for worker in 0..3 {
        let rows = recording.breaks.of_worker(worker).len() as u64;
        assert_eq!(file["profiles"][worker as usize + 1]["endValue"], rows * PAGE);
    }
}

/// Both forms tell the same stacks.
#[test]
fn speedscope_and_folded_stacks_agree() {
    let recording = example();
    let file: Value = serde_json::from_str(&speedscope::render(&recording)).unwrap();
    let frames = file["shared"]["frames"].as_array().unwrap();
    let name = |frame: &Value| {
        let frame = &frames[frame.as_u64().unwrap() as usize];
        match (frame["file"].as_str(), frame["name"].as_str().unwrap()) {
            (Some(path), name) => {
                name.replace(&format!("({}:", path.rsplit('/').next().unwrap()), &format!("({path}:"))
            }
            (None, name) => name.to_owned(),
        }
    };
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    let all = &file["profiles"][0];
    for (sample, weight) in all["samples"].as_array().unwrap().iter().zip(all["weights"].as_array().unwrap())
    {
        let stack: Vec<String> = sample.as_array().unwrap().iter().map(name).collect();
        *stacks.entry(stack.join(";")).or_default() += weight.as_u64().unwrap();
    }
    let folded: String = stacks.iter().map(|(stack, bytes)| format!("{stack} {bytes}\n")).collect();
    assert_eq!(folded, folded::render(&recording));
}

fn written(recording: &Recording) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.forkprint");
    capture::write(recording, &path, false).unwrap();
    (folder, path)
}

fn export(capture: &Path, words: &[&str]) -> assert_cmd::assert::Assert {
    Command::new(env!("CARGO_BIN_EXE_forkprint")).arg("export").arg(capture).args(words).assert()
}

#[test]
fn a_capture_is_exported_to_standard_output_or_to_a_file_that_did_not_exist() {
    let recording = example();
    let (folder, capture) = written(&recording);
    let folded = folded::render(&recording);
    export(&capture, &["-f", "folded"]).success().stdout(folded.clone());
    export(&capture, &["-f", "folded", "-o", "-"]).success().stdout(folded);
    export(&capture, &["-f", "json"]).success().stdout(contains("\"by_line\""));
    let file = folder.path().join("shop.speedscope.json");
    let name = file.to_str().unwrap();
    let told = export(&capture, &["-f", "speedscope", "-o", name]).success();
    told.stdout("").stderr(contains("wrote ").and(contains("next: npx speedscope")));
    assert_is_speedscope(&serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap());
    fs::write(&file, "mine").unwrap();
    export(&capture, &["-f", "folded", "-o", name]).code(2).stderr(contains("--force"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    export(&capture, &["-f", "folded", "-o", name, "--force"]).success();
    assert!(fs::read_to_string(&file).unwrap().contains("shop.py:14"));
}

#[test]
fn a_capture_without_breaks_gives_no_empty_flame_graph() {
    let (_folder, capture) = written(&Recording { breaks: Breaks::default(), ..example() });
    for format in ["folded", "speedscope"] {
        let refused = export(&capture, &["-f", format]).code(2);
        refused.stdout("").stderr(contains("no stacks to export").and(contains("forkprint doctor")));
    }
    export(&capture, &["-f", "json"]).success();
}
