//! Programs that know why their pages break, measured, and the answer held against what they know.

use crate::bench::Bench;
use crate::skip::skip;
use forkprint::capture;
use forkprint::family::breaks::{Break, Breaks, Flags, Witness};
use forkprint::family::recording::Recording;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// Pages that the interpreter itself breaks in a step for any one cause, at most.
const ASIDE: usize = 60;

/// What a program wrote down beside itself: `workloads/truth/causes/ground.py`.
#[derive(Deserialize)]
struct Truth {
    expectations: Vec<Expectation>,
    not_here: Option<String>,
}

/// The first write to each of these pages.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Expectation {
    /// Step in which it happens.
    pub step: String,
    /// Why.
    pub cause: String,
    /// Numbers of the pages.
    pub pages: Vec<u64>,
    /// Type of the object written to.
    #[serde(rename = "type")]
    pub ty: Option<String>,
    /// Field of the object.
    pub field: Option<String>,
    /// Line of the program.
    pub line: Option<u32>,
    /// Function whose instruction writes.
    pub writer: Option<String>,
    /// End of the owner's path.
    pub owner: Option<String>,
    /// Whether the writing thread had released the GIL.
    pub gil_released: Option<bool>,
    /// Share of the pages that are broken in this step; 0.99 unless it is said.
    pub least: Option<f64>,
    /// Pages that the step breaks for this cause, those of others included.
    pub most: Option<usize>,
}

/// Runs a program of `workloads/truth/causes` with one worker, and compares. What was found; `None`
/// where it cannot be.
pub fn are_found(bench: &Bench, program: &str) -> Option<Recording> {
    if !crate::witness::can_be_had() {
        return None;
    }
    copy_programs(bench);
    let recording = measure(bench, &format!("{program}.py"), &[]);
    let truth = std::fs::read_to_string(bench.path(&format!("{program}.py.truth.json"))).unwrap();
    let truth: Truth = serde_json::from_str(&truth).unwrap();
    if let Some(reason) = truth.not_here {
        skip(reason);
        return None;
    }
    assert!(!truth.expectations.is_empty(), "{program} expects nothing");
    for expectation in &truth.expectations {
        holds(&recording, expectation);
        knows_its_number(&recording, &truth.expectations, expectation);
    }
    Some(recording)
}

/// The programs, where they may write beside themselves.
fn copy_programs(bench: &Bench) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/truth/causes");
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), bench.path(entry.file_name().to_str().unwrap())).unwrap();
        }
    }
}

/// What a run with one worker found, as its capture tells it; its page counts add up.
pub fn measure(bench: &Bench, workload: &str, arguments: &[&str]) -> Recording {
    let path = bench.path(workload);
    let common = ["run", path.to_str().unwrap(), "-w", "1", "--format", "json", "-o", "-"];
    let json = bench.forkprint(&[&common[..], &["--capture", "out.forkprint"], arguments].concat()).success();
    let count = |name: &str| json["reconciliation"][name].as_u64().unwrap();
    let parts = ["explained", "kernel_writes", "floor", "unexplained"];
    assert_eq!(count("broken"), parts.iter().map(|part| count(part)).sum::<u64>());
    assert_eq!(count("lost_samples"), 0);
    capture::read(&bench.path("out.forkprint")).unwrap()
}

/// The pages broke in the step, and at least 99 % of those that did are explained as it is known.
pub fn holds(recording: &Recording, expected: &Expectation) {
    let broken = broken_in(recording, &expected.step);
    let pages: HashSet<u64> = expected.pages.iter().copied().collect();
    let in_step = pages.iter().filter(|page| broken.contains_key(page)).count();
    assert!(
        in_step as f64 >= pages.len() as f64 * expected.least.unwrap_or(0.99),
        "{in_step} of {} pages were broken in step {}",
        pages.len(),
        expected.step
    );
    assert_eq!(recording.about.witness, Witness::Sigtrap);
    let rows: HashMap<u32, &Break> =
        recording.breaks.of_worker(0).iter().map(|row| (row.page, row)).collect();
    let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
    for index in broken.iter().filter(|(page, _)| pages.contains(page)).map(|(_, index)| index) {
        let answer =
            rows.get(index).map_or(Some("no row".into()), |row| differs(&recording.breaks, row, expected));
        if let Some(answer) = answer {
            *wrong.entry(answer).or_default() += 1;
        }
    }
    let wrong_pages: usize = wrong.values().sum();
    let wanted = Expectation { pages: Vec::new(), ..expected.clone() };
    assert!(
        wrong_pages * 100 <= in_step,
        "{wrong_pages} of {in_step} pages are explained otherwise: {wrong:#?}\nexpected {wanted:#?}"
    );
}

/// Page numbers and indices of the inherited pages that the worker broke in a step.
pub fn broken_in(recording: &Recording, step: &str) -> HashMap<u64, u32> {
    let step = step_index(recording, step);
    let runs = recording.pages.runs.iter();
    let numbers = runs.flat_map(|run| run.first..run.first + u64::from(run.len));
    let cells = recording.pages.workers[0].cells.iter();
    let found = numbers.zip(0..).zip(cells).filter(|(_, cell)| cell.step == step);
    found.map(|(page, _)| page).collect()
}

/// The step breaks no more pages for the cause than the program knows of.
fn knows_its_number(recording: &Recording, all: &[Expectation], expected: &Expectation) {
    let alike = all.iter().filter(|other| other.step == expected.step && other.cause == expected.cause);
    let known: usize = alike.map(|other| other.pages.len()).sum();
    let most = expected.most.unwrap_or(known + known / 20) + ASIDE;
    let step = step_index(recording, &expected.step);
    let rows = recording.breaks.rows.iter();
    let found = rows.filter(|row| row.step == step && row.cause.name() == expected.cause).count();
    assert!(found <= most, "{}: {found} pages by {}, at most {most} known", expected.step, expected.cause);
}

/// How a break is told, where that is not what is known.
fn differs(breaks: &Breaks, row: &Break, expected: &Expectation) -> Option<String> {
    let told = Expectation {
        cause: row.cause.name().into(),
        ty: breaks.types.get(row.ty as usize).cloned(),
        field: breaks.fields.get(row.field as usize).cloned(),
        line: breaks.stack(row.frame).next().map(|frame| frame.line),
        writer: breaks.writers.get(row.writer as usize).map(|writer| writer.symbol.clone()),
        owner: Some(breaks.owner_path(row.owner)),
        gil_released: Some(row.flags.has(Flags::GIL_RELEASED)),
        ..Expectation::default()
    };
    let owner = told.owner.as_deref().unwrap_or_default();
    let right = told.cause == expected.cause
        && (expected.ty.is_none() || told.ty == expected.ty)
        && (expected.field.is_none() || told.field == expected.field)
        && (expected.line.is_none() || told.line == expected.line)
        && (expected.writer.is_none() || told.writer == expected.writer)
        && (expected.gil_released.is_none() || told.gil_released == expected.gil_released)
        && expected.owner.as_ref().is_none_or(|end| owner.ends_with(end));
    let Expectation { cause, ty, field, line, writer, gil_released, .. } = &told;
    (!right).then(|| {
        format!("{cause}: {ty:?}.{field:?} of {owner:?}, line {line:?}, by {writer:?}, {gil_released:?}")
    })
}

/// How breaks write down a step.
fn step_index(recording: &Recording, step: &str) -> u8 {
    let found = recording.steps.iter().position(|found| found.name == step);
    u8::try_from(found.unwrap_or_else(|| panic!("no step {step}"))).unwrap()
}
